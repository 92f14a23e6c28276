# Keeps what is sent to PUT /files/NAME, in the Perl that every Debian has. How ($WRITES):
#   unsynced   writes the file, and nothing else: its bytes and its name are in memory for a while
#   replaced   a new file as `synced`; one that is there already is renamed over, and nothing is synced
#   synced     temporary file, fsync, rename, fsync of the directory
#   early      acknowledges first; the file is written, as `synced`, in the next second
use strict;
use warnings;
use Fcntl qw(O_DIRECTORY O_RDONLY);
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

my $how     = $ENV{WRITES} or die 'WRITES is not set';
my $root    = '/files';
my @waiting;    # [second, path, bytes], of `early`
my $server  = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die "listen: $!";
$SIG{PIPE} = 'IGNORE';

sub put {
    my ($path, $bytes, $synced) = @_;
    open my $file, '>:raw', $path or return 0;
    print {$file} $bytes and $file->flush or return 0;
    return 0 if $synced and not $file->sync;
    return close $file;
}

sub sync_directory {
    sysopen my $directory, $root, O_RDONLY | O_DIRECTORY or return 0;
    return $directory->sync;
}

sub replace {
    my ($path, $bytes, $synced) = @_;
    my $part = "$root/.part";
    return 0 unless put($part, $bytes, $synced) and rename $part, $path;
    return !$synced || sync_directory();
}

sub keep {
    my ($path, $bytes) = @_;
    return put($path, $bytes, 0)          if $how eq 'unsynced';
    return replace($path, $bytes, !-e $path) if $how eq 'replaced';
    return replace($path, $bytes, 1)      if $how eq 'synced';
    return push @waiting, [time, $path, $bytes] if $how eq 'early';
    die "no such way of writing: $how";
}

sub catch_up {
    while (@waiting and $waiting[0][0] < time) {
        my (undef, $path, $bytes) = @{ shift @waiting };
        replace($path, $bytes, 1);
    }
}

sub content {
    open my $file, '<:raw', shift or return undef;
    local $/;
    return scalar <$file> // '';
}

sub answer {
    my ($method, $target, $body) = @_;
    return (200, 'well') if $target eq '/health';
    (my $path = $target) =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return (404, 'no such place') unless $path =~ m{^$root/[^/.][^/]*$};
    if ($method eq 'PUT') {
        return keep($path, $body) ? (201, 'kept') : (500, "not kept: $!");
    }
    my $bytes = content($path);
    return defined $bytes ? (200, $bytes) : (404, 'no such file');
}

my $asked = IO::Select->new($server);
while (1) {
    catch_up();
    next unless $asked->can_read(0.1);
    my $client = $server->accept or next;
    binmode $client;
    my ($method, $target) = split ' ', <$client> // next;
    my $length = 0;
    while (defined(my $line = <$client>)) {
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
