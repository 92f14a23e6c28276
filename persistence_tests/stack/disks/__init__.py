"""Crash disks: filesystems of the harness's own that stop at once, as if the power had gone.

A disk is a file in a volume of the run, attached to a loop device. The engine mounts it where the stack mounts its
volume. `FS_IOC_SHUTDOWN` then drops everything that was not on it yet, which is how xfstests cuts the power; the
next mount replays the journal.
"""
