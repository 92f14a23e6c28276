# Fills disks; see station.py. Arguments: "blocks" or "inodes", then the mount points. It ends once they are full, and
# says which process group holds them so: what fills them are files without a name, which the stack never sees, and
# which are gone as soon as those processes have ended.
use strict;
use warnings;
use Fcntl;
use POSIX ();

use constant O_TMPFILE => 020000000 | O_DIRECTORY;

my %hold = (blocks => \&hold_blocks, inodes => \&hold_inodes);
my $what = shift;
pipe my $hear, my $tell or die "pipe: $!\n";
my $holder = fork // die "fork: $!\n";
if ($holder) {
    close $tell;
    my $said = <$hear> // "the disks were not filled\n";
    die $said unless $said eq "full\n";
    print "$holder\n";
    exit;
}
close $hear;
POSIX::setsid();
open STDIN, '<', '/dev/null';
open STDOUT, '>', '/dev/null';
open STDERR, '>', '/dev/null';
for my $root (@ARGV) {
    eval { $hold{$what}->($root); 1 } or give_up($@);
}
syswrite $tell, "full\n";
sleep;

sub give_up {
    syswrite $tell, $_[0];
    kill 'KILL', -getpgrp;
}

# A descriptor, so that no handle is kept for each of many thousands; undef where there is none to be had.
sub nameless { POSIX::open($_[0], O_RDWR | O_TMPFILE, 0600) }

# As big a piece as there is room for, then half of it, down to the last block.
sub hold_blocks {
    my ($root) = @_;
    my $file = nameless($root) // die "a file in $root: $!\n";
    my ($available, $block) = split ' ', `stat -f -c '%a %S' $root`;
    my ($at, $piece) = (0, $available);
    while ($piece) {
        my @room = ('-o', $at * $block, '-l', $piece * $block);
        if (system('fallocate', @room, "/proc/$$/fd/$file") == 0) { $at += $piece }
        else                                                      { $piece = int($piece / 2) }
    }
}

# One process may not have as many files open as there are inodes: then the next one goes on. xfs makes inodes out of
# blocks, as many as a quarter of them: without blocks only those are left that it has made already.
sub hold_inodes {
    my ($root) = @_;
    hold_blocks($root) if `stat -f -c %T $root` =~ /xfs/;
    while (1) {
        next if defined nameless($root);
        return if $!{ENOSPC};
        die "a file in $root: $!\n" unless $!{EMFILE};
        my $next = fork // die "fork: $!\n";
        sleep if $next;
        my $most = POSIX::sysconf(&POSIX::_SC_OPEN_MAX);
        for my $descriptor (3 .. $most - 1) {
            POSIX::close($descriptor) unless $descriptor == fileno $tell;
        }
    }
}
