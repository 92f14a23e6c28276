# Serves /files/NAME, in the Perl that every Debian has: POST and PUT keep a file, PATCH adds to one, DELETE
# deletes one, MOVE gives it the name in the header Destination. Its behaviour:
#   honest   404 for what is not there
#   index    an index page with 200 for what is not there, as single-page applications do
#   deaf     an index page with 200 for everything, and nothing is kept
#   polite   an index page with 200 for everything as long as /files/.maintenance is there; after five of them it
#            makes /files/.told
#   assuring 201 for every file that it is sent, be it kept or not
#            which is synced with its directory where it can be
#   syncing  syncs a file and its directory before it answers
#   retrying the same, and where that fails once more
#   sulking  keeps nothing more once it could not keep something
use strict;
use warnings;
use Fcntl;
use File::Basename;
use File::Path 'make_path';
use IO::Socket::INET;

my $behaviour = shift // 'honest';
my $page      = "<!doctype html><title>files</title>\n";
my $server    = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die "listen: $!";
$SIG{PIPE} = 'IGNORE';  # a client that went away is no reason to end

sub content {
    my ($path) = @_;
    open my $file, '<:raw', $path or return undef;
    local $/;
    return scalar <$file> // '';
}

sub written {
    my ($how, $path, $bytes) = @_;
    open my $file, "$how:raw", $path or return 0;
    print {$file} $bytes or return 0;
    return $file->flush && synced($file) && close $file;
}

sub synced {
    my ($file) = @_;
    return 1 unless $behaviour =~ /^(?:assuring|syncing|retrying)$/;
    return $file->sync || $behaviour eq 'retrying' && $file->sync;
}

sub synced_directory {
    my ($path) = @_;
    sysopen my $directory, dirname($path), O_RDONLY or return 0;
    return synced($directory);
}

sub keep {
    my ($path, $bytes) = @_;
    make_path(dirname $path);
    my $part = dirname($path) . "/.$$.part";
    return written('>', $part, $bytes) && rename($part, $path) && synced_directory($path);
}

my $failed = 0;

sub kept {
    my ($path, $bytes) = @_;
    return 0 if $behaviour eq 'sulking' and $failed;
    return 1 if keep($path, $bytes) or $behaviour eq 'assuring';
    $failed = 1;
    return 0;
}

sub move {
    my ($path, $destination) = @_;
    make_path(dirname $destination);
    return rename $path, $destination;
}

sub place {
    (my $path = shift) =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $path =~ m{^/files/} && $path !~ m{/\.\./} ? $path : undef;
}

my $told = 0;

sub maintained {
    return 0 unless $behaviour eq 'polite' and -e '/files/.maintenance';
    keep('/files/.told', '') if ++$told == 5;
    return 1;
}

sub answer {
    my ($method, $target, $body, $destination) = @_;
    return (200, $page) if $behaviour eq 'deaf' or $target eq '/health';
    my $path = place($target) // return (404, 'no such place');
    return kept($path, $body) ? (201, 'kept') : (500, 'not kept') if $method eq 'POST' or $method eq 'PUT';
    if ($method ne 'GET' and $method ne 'HEAD') {
        return (404, 'no such file') unless -e $path;
        my $done = $method eq 'PATCH' ? written('>>', $path, $body)
            : $method eq 'DELETE' ? unlink $path
            : $method eq 'MOVE' ? move($path, place($destination))
            :                     return (405, 'cannot do that');
        return $done ? (200, 'done') : (500, 'not done');
    }
    return (200, $page) if maintained();
    my $bytes = content($path);
    return (200, $bytes) if defined $bytes;
    return $behaviour eq 'index' ? (200, $page) : (404, 'no such file');
}

while (my $client = $server->accept) {
    binmode $client;
    my ($method, $target) = split ' ', <$client> // next;
    my ($length, $destination) = (0, '');
    while (defined(my $line = <$client>) ) {
        last if $line =~ /^\r?$/;
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
        $destination = $1 if $line =~ /^destination:\s*(\S+)/i;
    }
    my $body = '';
    read $client, $body, $length if $length;
    my ($status, $bytes) = answer($method, $target, $body, $destination);
    print {$client} "HTTP/1.1 $status -\r\nContent-Length: ", length $bytes, "\r\nConnection: close\r\n\r\n";
    print {$client} $bytes unless $method eq 'HEAD';
    close $client;
}
