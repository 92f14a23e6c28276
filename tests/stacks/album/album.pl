# An album of pictures, in the Perl that every Debian has. Everything but /health and /login needs a session, which a
# restart forgets.
#   POST /upload                      a form; keeps the picture without its comments, under a number
#   PUT /media/NAME                   keeps the body
#   PATCH /parts/NAME?offset=N        keeps a part; POST /parts/NAME?size=N makes one file of them
#   GET /media/NAME
# Its behaviour:
#   sound     files appear whole or not at all
#   broken    keeps what came of a body that was cut short, and acknowledges an upload without its second part;
#             shows the first picture for the second
use strict;
use warnings;
use File::Basename;
use File::Path 'make_path', 'remove_tree';
use IO::Socket::INET;

my $broken   = (shift // 'sound') eq 'broken';
my $password = $ENV{ALBUM_PASSWORD} // die 'no password';
my $token    = join '', map { ('a' .. 'z', 0 .. 9)[rand 36] } 1 .. 24;
my $server   = IO::Socket::INET->new(LocalPort => 8000, Listen => 64, ReuseAddr => 1) or die "listen: $!";

sub content {
    my ($path) = @_;
    open my $file, '<:raw', $path or return undef;
    local $/;
    return scalar <$file> // '';
}

sub keep {
    my ($path, $bytes) = @_;
    make_path(dirname $path);
    open my $file, '>:raw', "$path.part" or return 0;
    print {$file} $bytes or return 0;
    return close($file) && rename "$path.part", $path;
}

sub decoded {
    my ($text) = @_;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return $text;
}

sub field {
    my ($body, $name) = @_;
    return $body =~ /name="\Q$name\E"[^\r]*\r\n(?:[^\r]+\r\n)*\r\n(.*?)\r\n--/s ? $1 : undef;
}

sub without_comments {
    my ($picture) = @_;
    my ($out, $place) = (substr($picture, 0, 2), 2);
    while ($place + 4 <= length $picture) {
        my ($marker, $length) = unpack 'xCn', substr $picture, $place, 4;
        return $out . substr $picture, $place if $marker == 0xDA;
        $out .= substr $picture, $place, $length + 2 unless $marker == 0xFE;
        $place += $length + 2;
    }
    return undef;
}

sub whole {
    my ($name, $size) = @_;
    my @parts = sort { $a <=> $b } map { basename $_ } glob "/files/.parts/$name/*";
    my $bytes = '';
    for my $offset (@parts) {
        my $part = content("/files/.parts/$name/$offset");
        $bytes .= $broken && $offset > 0 && $offset == $parts[1] ? "\0" x length $part : $part;
    }
    return length $bytes == $size ? $bytes : undef;
}

sub answer {
    my ($method, $target, $head, $body, $short) = @_;
    return (200, 'well') if $target eq '/health';
    return (200, '<input name="csrf" value="of-this-form">', 'Set-Cookie: csrf=cookie; Path=/') if "$method $target" eq 'GET /login';
    if ("$method $target" eq 'POST /login') {
        my %form = map { map { decoded($_) } split /=/, $_, 2 } split /&/, $body;
        my $right = $form{password} eq $password && $form{csrf} eq 'of-this-form' && $head =~ /^Cookie:.*csrf=cookie/mi;
        return $right ? (200, qq({"data": {"token": "$token"}}), "Set-Cookie: session=$token; HttpOnly") : (403, 'no');
    }
    return (401, 'log in first') unless $head =~ /^Authorization: Bearer $token\r$/mi && $head =~ /^Cookie:.*session=$token/mi;
    my ($path, $query) = split /\?/, $target;
    $path = decoded($path);
    return (404, 'no such place') if $path =~ m{/\.\./};
    if ($method eq 'POST' && $path eq '/upload') {
        return (400, 'the form is not whole') if $short || (field($body, 'csrf') // '') ne 'of-this-form';
        my $picture = without_comments(field($body, 'picture') // '') // return (415, 'no picture');
        my $number = 1;
        $number++ while -e sprintf '/files/album/%06d.jpg', $number;
        my $name = sprintf 'album/%06d.jpg', $number;
        return keep("/files/$name", $picture) ? (201, qq({"data": {"path": "/media/$name"}})) : (500, 'not kept');
    }
    if ($method eq 'PATCH' && $path =~ s{^/parts/}{}) {
        my ($offset) = $query =~ /offset=(\d+)/;
        return $short ? (400, 'cut short') : keep("/files/.parts/$path/$offset", $body) ? (204, '') : (500, 'not kept');
    }
    if ($method eq 'POST' && $path =~ s{^/parts/}{}) {
        my ($size) = $query =~ /size=(\d+)/;
        my $bytes = whole($path, $size) // return (409, 'a part is missing');
        remove_tree("/files/.parts/$path");
        return keep("/files/$path", $bytes) ? (201, 'kept') : (500, 'not kept');
    }
    return (404, 'no such place') unless $path =~ s{^/media/}{};
    if ($method eq 'PUT') {
        return (400, 'cut short') if $short && !$broken;
        return keep("/files/$path", $body) ? (201, 'kept') : (500, 'not kept');
    }
    $path = 'album/000001.jpg' if $broken && $path eq 'album/000002.jpg';
    my $bytes = content("/files/$path");
    return defined $bytes ? (200, $bytes) : (404, 'no such file');
}

while (my $client = $server->accept) {
    binmode $client;
    my ($method, $target) = split ' ', <$client> // next;
    my ($head, $length) = ('', 0);
    while (defined(my $line = <$client>)) {
        last if $line =~ /^\r?$/;
        $head .= $line;
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
    }
    my $body = '';
    read $client, $body, $length if $length;
    my ($status, $bytes, @more) = answer($method, $target, $head, $body, length $body < $length);
    my $more = join '', map { "$_\r\n" } @more;
    print {$client} "HTTP/1.1 $status -\r\nContent-Length: ", length $bytes, "\r\n${more}Connection: close\r\n\r\n$bytes";
    close $client;
}
