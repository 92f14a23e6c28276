"""The one container that has the disks: it makes them, mounts them beside the engine, and cuts them.

It needs SYS_ADMIN and the loop devices of the engine's host, and nothing else of it; its mounts are its own. It is no
part of the stack: events pass it by, and it answers while none of it runs.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from persistence_tests.errors import CapabilityLacking, StackError
from persistence_tests.stack.disks.detach import CAPABILITIES, DISKS, detach
from persistence_tests.stack.disks.disk import Media
from persistence_tests.stack.disks.tools import image_for
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.exec_stream import ExecFailed, run_any
from persistence_tests.stack.helper import helper
from persistence_tests.stack.identity import DISKS_LABEL, Identity

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from docker.models.containers import Container

    from persistence_tests.stack.engine import Engine
    from persistence_tests.stack.helper import Source

FREE_SECONDS = 15.0
THIN = "/thin"
WORKSPACE = "/workspace"
ENABLE = (
    "run on Linux with a Docker engine that may give a container SYS_ADMIN and loop devices "
    "(`persistence doctor` tries it)"
)

# Of a thin disk all that the filesystem keeps its records in is allocated, so that only writes of bytes and of new
# directories fail; `packed_meta_blocks` has that at its beginning.
MAKE = """
name=$1 size=$2 filesystem=$3 thin=$4
shift 4
directory={disks} lazy=lazy_itable_init=1,lazy_journal_init=1
if [ "$thin" ]; then
  directory={thin} lazy=$lazy,packed_meta_blocks=1
  mkdir -p {thin}
  mount -t tmpfs -o size="$thin" tmpfs {thin}
fi
for place; do
  file=$directory/$name-$place
  truncate -s "$size" "$file"
  for attempt in 1 2 3 4 5 6 7 8; do  # another one may take the free device first
    device=$(losetup --find --show "$file") && break
  done
  [ -n "$device" ]
  case $filesystem in
    ext4) mkfs.ext4 -q -F -b 4096 -m 0 -E $lazy "$device" ;;
    xfs)  mkfs.xfs -q -f "$device" ;;
  esac
  if [ "$thin" ]; then
    free='s/^  Free blocks: (.*, )?([0-9]+)-[0-9]+$/\\2/p'
    blocks=$(dumpe2fs "$device" 2>/dev/null | sed -nE "$free" | head -n 1)
    fallocate --length $((blocks * 4096)) "$file"
  fi
  mkdir -p /mnt/"$place"
  mount -t "$filesystem" "$device" /mnt/"$place"
  rmdir /mnt/"$place"/lost+found 2>/dev/null || :  # else nothing is copied up from the image
  umount /mnt/"$place"
  echo "$device"
done
""".replace("{disks}", DISKS).replace("{thin}", THIN)

# No block that is free has a place in memory any more, and what is written to no longer has to be written: then nothing
# gets a place that has none.
FAIL = """
for root; do fstrim "$root"; blockdev --flushbufs "$(findmnt -n -o SOURCE "$root")"; done
for attempt in 1 2 3 4 5 6 7 8; do  # it may just be growing
  mount -o remount,size=$(($(df -k --output=used {thin} | tail -n 1)))k {thin} && exit
done
exit 1
""".replace("{thin}", THIN)

FILL = """
cp -a {workspace}/"$2"/. /mnt/"$1"/
chown --reference={workspace}/"$2" /mnt/"$1"
chmod --reference={workspace}/"$2" /mnt/"$1"
""".replace("{workspace}", WORKSPACE)


@dataclass(frozen=True, slots=True)
class Cut:
    """What the disk of `place` answered to a write right after it was cut: "Input/output error"."""

    place: int
    said: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A disk that nobody has mounted: how often it was mounted so far, and whether its journal must be replayed;
    both None where its filesystem does not say."""

    mounts: int | None
    needs_recovery: bool | None


@dataclass(frozen=True, slots=True)
class Room:
    """What a filesystem says is available to an ordinary user; blocks have the filesystem's own size."""

    blocks: int
    inodes: int


class Station:
    """Close it whatever happens. `make` raises CapabilityLacking where there can be no disks, all else StackError."""

    def __init__(self, engine: Engine, identity: Identity) -> None:
        self._engine = engine
        self._volume = identity.prefixed(f"disks-{secrets.token_hex(3)}")
        self._labels = identity.labels
        self._identity = identity
        self._media = Media()
        self._mounted = False
        self._thin = ""
        self._devices: list[str] = []
        self._holding: AbstractContextManager[Container] | None = None
        self._container: Container | None = None

    def make(self, media: Media, number: int) -> list[str]:
        """So many fresh, empty disks, by place; their devices."""
        self._media = media
        places = map(str, range(number))
        if media.thin and media.filesystem != "ext4":
            raise CapabilityLacking(
                f"a disk with {media.filesystem} cannot be made to fail for a while",
                remedy="let `stack.storage` have ext4",
            )
        self._thin = str(number * media.size) if media.thin else ""
        with engine_answers("making the crash disks"):
            self._engine.client.volumes.create(self._volume, labels={**self._labels, DISKS_LABEL: "true"})
        try:
            self._start()
            made = self._run(
                [
                    "sh",
                    "-euc",
                    MAKE,
                    "sh",
                    self._volume,
                    str(media.size),
                    media.filesystem,
                    self._thin,
                    *places,
                ],
            )
        except StackError as error:
            raise CapabilityLacking(
                f"this machine makes no crash disks: {error.what}", remedy=ENABLE
            ) from error
        self._devices = made.split()
        return list(self._devices)

    def fill(self, place: int, directory: str) -> None:
        """Copy a directory of the workspace, relative to it, onto a disk, owners and modes included."""
        self._mount()
        try:
            self._run(["sh", "-euc", FILL, "sh", str(place), directory])
        finally:
            self._unmount()

    def write_controls(self, token: str) -> None:
        """On every disk a file that is synced with its directory, and after it one that never is.

        The disks stay mounted here until `wait_free`.
        """
        self._tell(*self._mounting(), _calling("write_controls", token, *self._roots))
        self._mounted = True

    def write_synced(self, token: str) -> None:
        """The first of the two alone; the disks stay mounted here until `wait_free`."""
        self._tell(*self._mounting(), _calling("write_synced", token, *self._roots))
        self._mounted = True

    def write_never_synced(self, token: str) -> None:
        """The second alone."""
        self._tell(_calling("write_never_synced", token, *self._roots))

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Thin disks, mounted here: until the end every write fails that needs a block which has none yet."""
        self._run(["sh", "-ec", FAIL, "sh", *self._roots])
        try:
            yield
        finally:
            self._run(["mount", "-o", f"remount,size={self._thin}", THIN])

    def cut(self, *, journal: bool = False) -> list[Cut]:
        """Cut every disk at once; with `journal` it is written out first, without what it promises of the bytes.

        They stay mounted here, and so cut for everybody, until `wait_free`.
        """
        said = self._tell(_calling("cut", "1" if journal else "2", *self._roots))
        return [Cut(place, answer) for place, (_, answer) in enumerate(said)]

    def wait_free(self) -> list[Condition]:
        """Once nobody has a disk mounted, so that the next mount is a fresh one: their conditions."""
        said = self._tell(*self._unmounting(), self._waiting_free())
        self._mounted = False
        return _conditions(said)

    def read_controls(self, token: str) -> list[tuple[str, str]]:
        """Of each disk, what the synced file and the one never synced hold: "intact", "empty", "absent" or an error."""
        return _controls(token, self._tell(*self._reading_controls()))

    def look_anew(self, token: str) -> tuple[list[Condition], list[tuple[str, str]]]:
        """`wait_free`, then `read_controls`, in half the time: it is one program that is begun in the container."""
        said = self._tell(*self._unmounting(), self._waiting_free(), *self._reading_controls())
        self._mounted = False
        number = len(self._devices)
        return _conditions(said[:number]), _controls(token, said[number:])

    @contextmanager
    def beside(self, token: str) -> Iterator[None]:
        """The disks mounted here, beside the stack, and on each a file of ours that is synced with its directory;
        it stays there for `read_controls`."""
        try:
            self.write_synced(token)
            yield
        finally:
            self._unmount()

    @contextmanager
    def filled(self, what: Literal["blocks", "inodes"]) -> Iterator[None]:
        """Every disk full to the last block or inode, until the end; to be called `beside`."""
        [[group]] = self._tell(_calling(what, *self._roots), program="filling.pl")
        try:
            yield
        finally:
            self._tell(_calling("release", str(FREE_SECONDS), group))
            # What was freed is to be had once it is written.
            self._run(["sync", "--file-system", *self._roots])

    def make_read_only(self) -> str | None:
        """Remount every disk read-only; what the kernel says where it does not, as somebody has a file open to write.

        It is all or none. To be called `beside`.
        """
        try:
            self._remount("ro")
        except StackError as error:
            self.make_writable()
            return error.what
        return None

    def make_writable(self) -> None:
        """The same the other way round."""
        self._remount("rw")

    def abort(self) -> None:
        """Read-only whoever has files open, until a fresh mount, as ext4 makes itself where it meets an error.

        All that was written so far is written out first. To be called `beside`.
        """
        self._run(["sync", "--file-system", *self._roots])
        self._remount("abort")

    def room(self) -> list[Room]:
        """Of each disk, by place."""
        return [
            Room(int(blocks), int(inodes)) for _, blocks, inodes in self._tell(_calling("room", *self._roots))
        ]

    def probe(self) -> list[str]:
        """What a write of ours is answered on each disk: "written", or the error in the kernel's words."""
        return [said for _, said in self._tell(_calling("probe", *self._roots))]

    def probe_device(self) -> list[str]:
        """The same past the page cache: what the disk itself answers."""
        return [said for _, said in self._tell(_calling("probe_device", *self._roots))]

    def close(self) -> list[str]:
        """Detach the disks; what could not be done, in words. Whoever still has one mounted keeps it until then."""
        if self._holding is not None:
            self._holding.__exit__(None, None, None)
            self._holding = self._container = None
        return detach(self._engine, self._volume, self._labels)

    def _start(self) -> None:
        options = {
            **CAPABILITIES,
            "network_mode": "none",
            "image": image_for(self._engine, self._media.filesystem),
            "init": True,
        }
        mounts: dict[str, Source] = {
            DISKS: self._volume,
            "/dev": Path("/dev"),
            WORKSPACE: Path(self._identity.workspace),
        }
        self._holding = helper(
            self._engine, mounts, labels=self._labels, command=["sleep", "infinity"], writable=True, **options
        )
        self._container = self._holding.__enter__()
        with engine_answers("starting the crash disks' container"):
            self._container.start()

    @property
    def _roots(self) -> list[str]:
        return [f"/mnt/{place}" for place in range(len(self._devices))]

    def _mounting(self) -> list[str]:
        """The commands, in a shell, that mount the disks here."""
        options = ["-o", self._media.options] if self._media.options else []
        return [
            shlex.join(["mount", "-t", self._media.filesystem, *options, device, root])
            for device, root in zip(self._devices, self._roots, strict=True)
        ]

    def _unmounting(self) -> list[str]:
        return [shlex.join(["umount", *self._roots])] if self._mounted else []

    def _waiting_free(self) -> str:
        return _calling("wait_free", str(FREE_SECONDS), *self._devices)

    def _reading_controls(self) -> list[str]:
        reading = _calling("read_controls", *self._roots)
        return [
            *self._mounting(),
            f"code=0; {reading} || code=$?",
            shlex.join(["umount", *self._roots]),
            'exit "$code"',
        ]

    def _mount(self) -> None:
        self._run(["sh", "-ec", "\n".join(self._mounting())])
        self._mounted = True

    def _remount(self, option: str) -> None:
        self._run(["sh", "-ec", "\n".join(f"mount -o remount,{option} {root}" for root in self._roots)])

    def _unmount(self) -> None:
        if lines := self._unmounting():
            self._run(["sh", "-ec", *lines])
        self._mounted = False

    def _tell(self, *lines: str, program: str = "disk.pl") -> list[list[str]]:
        """What lines of a shell script print, by line and field; `_calling` makes those that call the program."""
        said = self._run(["sh", "-ec", "\n".join(lines), "sh", _program(program)])
        return [line.split("\t") for line in said.splitlines()]

    def _run(self, command: Sequence[str]) -> str:
        if self._container is None:
            raise StackError("the crash disks' container is not there")
        try:
            out, err, code = run_any(self._container, command, user="0:0")
        except (ExecFailed, TimeoutError) as error:
            raise StackError(f"the crash disks cannot be worked on: {error}") from error
        if code != 0:
            said = " ".join((err or out).decode(errors="replace").split())
            raise StackError(f"the crash disks cannot be worked on: {said or f'exit code {code}'}")
        return out.decode(errors="replace")


def _calling(*arguments: str) -> str:
    return f'perl -e "$1" {shlex.join(arguments)}'


def _conditions(said: Sequence[Sequence[str]]) -> list[Condition]:
    return [
        Condition(int(mounts) if mounts else None, state == "needs recovery" if state else None)
        for _, mounts, state in said
    ]


def _controls(token: str, said: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    return [(_held(token, kept), _held(token, lost)) for _, kept, lost in said]


def _held(token: str, said: str) -> str:
    return "intact" if said == f"holds {token}" else said


@cache
def _program(name: str) -> str:
    return files("persistence_tests.stack.disks").joinpath(name).read_text()
