# Serves /files/NAME and takes POST /files/NAME, in the Perl that every Debian has. Its behaviour:
#   honest   404 for what is not there
#   index    an index page with 200 for what is not there, as single-page applications do
#   deaf     an index page with 200 for everything, and nothing is kept
use strict;
use warnings;
use File::Basename;
use File::Path 'make_path';
use IO::Socket::INET;

my $behaviour = shift // 'honest';
my $page      = "<!doctype html><title>files</title>\n";
my $server    = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die "listen: $!";

sub content {
    my ($path) = @_;
    open my $file, '<:raw', $path or return undef;
    local $/;
    return scalar <$file> // '';
}

sub keep {
    my ($path, $bytes) = @_;
    make_path(dirname $path);
    open my $file, '>:raw', $path or return 0;
    print {$file} $bytes or return 0;
    return close $file;
}

sub answer {
    my ($method, $target, $body) = @_;
    return (200, $page) if $behaviour eq 'deaf' or $target eq '/health';
    (my $path = $target) =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return (404, 'no such place') unless $path =~ m{^/files/} and $path !~ m{/\.\./};
    return keep($path, $body) ? (201, 'kept') : (500, 'not kept') if $method eq 'POST';
    my $bytes = content($path);
    return (200, $bytes) if defined $bytes;
    return $behaviour eq 'index' ? (200, $page) : (404, 'no such file');
}

while (my $client = $server->accept) {
    binmode $client;
    my ($method, $target) = split ' ', <$client> // next;
    my $length = 0;
    while (defined(my $line = <$client>) ) {
        last if $line =~ /^\r?$/;
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
    }
    my $body = '';
    read $client, $body, $length if $length;
    my ($status, $bytes) = answer($method, $target, $body);
    print {$client} "HTTP/1.1 $status -\r\nContent-Length: ", length $bytes, "\r\nConnection: close\r\n\r\n";
    print {$client} $bytes unless $method eq 'HEAD';
    close $client;
}
