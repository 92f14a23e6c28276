# Keeps every entry in a file of its own, beside the program.
use strict;
use warnings;
use IO::Socket::INET;

my $server = IO::Socket::INET->new(LocalPort => 8000, Listen => 16, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) {
    while (my $line = <$client>) {
        last if $line !~ /\S/;
    }
    print $client "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    for my $file (sort glob('entry-*')) {
        open(my $in, '<', $file) or next;
        print {$client} <$in>;
    }
    close($client);
}
