# What the station does to its disks; see station.py. One argument list a call, one line of answer a disk,
# fields separated by tabs. It dies where the kernel refuses.
use strict;
use warnings;
use Fcntl;
use IO::Handle;

# _IOR('X', 125, __u32), with FS_IOC_SHUTDOWN's flags: 1 writes the journal out first, 2 writes nothing.
use constant SHUTDOWN => 0x8004587D;
use constant { KEPT => '.persistence-control-synced', LOST => '.persistence-control-never-synced' };
use constant PROBE => '.persistence-control-probe';

my %do = (
    write_controls => \&write_controls, write_synced => \&write_synced, read_controls => \&read_controls,
    write_never_synced => \&write_never_synced, probe => \&probe, probe_device => \&probe_device,
    cut => \&cut, wait_free => \&wait_free, room => \&room, release => \&release,
);
my $what = shift;
$do{$what}->(@ARGV);

sub synced {
    my ($handle, $name) = @_;
    $handle->sync or die "fsync $name: $!\n";
}

sub write_file {
    my ($name, $content, $sync) = @_;
    open my $file, '>', $name or die "open $name: $!\n";
    print {$file} $content or die "write $name: $!\n";
    $file->flush or die "write $name: $!\n";
    synced($file, $name) if $sync;
    close $file or die "close $name: $!\n";
}

# TOKEN MOUNTPOINT...
sub write_synced {
    my $token = shift;
    for my $root (@_) {
        write_file("$root/" . KEPT, $token, 1);
        sysopen my $directory, $root, O_RDONLY or die "open $root: $!\n";
        synced($directory, $root);
    }
}

# TOKEN MOUNTPOINT...
sub write_controls {
    my ($token, @roots) = @_;
    write_synced($token, @roots);
    write_never_synced($token, @roots);
}

# TOKEN MOUNTPOINT...
sub write_never_synced {
    my ($token, @roots) = @_;
    write_file("$_/" . LOST, $token, 0) for @roots;
}

# FLAG MOUNTPOINT...: what a look at the disk is answered after the cut
sub cut {
    my $flag = shift;
    my @open;
    for my $root (@_) {
        sysopen my $directory, $root, O_RDONLY or die "open $root: $!\n";
        push @open, [$root, $directory];
    }
    for (@open) {
        my ($root, $directory) = @$_;
        my $argument = pack 'L', $flag;
        ioctl($directory, SHUTDOWN, $argument) or die "FS_IOC_SHUTDOWN on $root: $!\n";
    }
    for (@open) {
        my ($root) = @$_;
        my $said = (sysopen my $probe, "$root/" . PROBE, O_WRONLY | O_CREAT) ? 'still writable' : "$!";
        print "$root\t$said\n";
    }
}

# MOUNTPOINT...: what a write of one block in a new file is answered
sub probe {
    for my $root (@_) {
        my $said = 'written';
        if (sysopen my $file, "$root/" . PROBE, O_WRONLY | O_CREAT | O_TRUNC) {
            $said = "$!" unless defined syswrite $file, 'x' x 4096;
            close $file;
            unlink "$root/" . PROBE;
        }
        else { $said = "$!" }
        print "$root\t$said\n";
    }
}

# MOUNTPOINT...: the same past the page cache, and nothing else is written out for it
sub probe_device {
    for my $root (@_) {
        my $name  = "$root/" . PROBE;
        my $said  = `LC_ALL=C dd if=/dev/zero of=$name bs=4096 count=1 oflag=direct 2>&1`;
        my ($why) = $said =~ /^dd: .*: (.+)$/m;
        unlink $name;
        print "$root\t", $? == 0 ? 'written' : $why // 'nothing', "\n";
    }
}

# MOUNTPOINT...: blocks that are available, and inodes
sub room {
    for my $root (@_) {
        my ($blocks, $inodes) = split ' ', `stat -f -c '%a %d' $root`;
        print "$root\t$blocks\t$inodes\n";
    }
}

# SECONDS GROUP: ends the processes that hold what fills the disks, and waits until they are gone
sub release {
    my ($seconds, $group) = @_;
    my $until = time + $seconds;
    while (kill 'KILL', -$group) {
        die "what fills the disks is still there\n" if time > $until;
        select undef, undef, undef, 0.01;
    }
}

# SECONDS DEVICE...: waits until nobody has the device mounted; its ext4 superblock: mounts so far, recovery needed
sub wait_free {
    my $until = time + shift;
    for my $device (@_) {
        my $disk;
        until (sysopen $disk, $device, O_RDONLY | O_EXCL) {
            die "$device is still mounted: $!\n" if time > $until;
            select undef, undef, undef, 0.01;
        }
        sysseek $disk, 1024, 0;
        sysread $disk, my $super, 1024;
        my ($mounts, $magic, $incompatible) = map { unpack $_->[0], substr $super, $_->[1], $_->[2] }
            ['v', 52, 2], ['v', 56, 2], ['V', 96, 4];
        print join("\t", $device, $magic == 0xEF53 ? ($mounts, $incompatible & 4 ? 'needs recovery' : 'clean') : ('', '')), "\n";
    }
}

sub content {
    my ($name) = @_;
    open my $file, '<', $name or return $!{ENOENT} ? 'absent' : "$!";
    local $/;
    my $bytes = <$file>;
    return defined $bytes && length $bytes ? "holds $bytes" : 'empty';
}

# MOUNTPOINT...: what each control holds; both are removed
sub read_controls {
    for my $root (@_) {
        my @held = map { content("$root/$_") } KEPT, LOST;
        unlink "$root/" . KEPT, "$root/" . LOST;
        print join("\t", $root, @held), "\n";
    }
}
