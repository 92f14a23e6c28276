"""What an event asks of the run, where a test applies it alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from persistence_tests.events.base import Played


class Silent:
    """A run that has a file written, and takes no notice of anything else."""

    def checkpoint(self) -> None:
        return

    def look(self) -> None:
        return

    def look_if_ready(self) -> str | None:
        return None

    def write_rules(self) -> Sequence[Played]:
        return []

    def write_again(self, after: str) -> Sequence[Played]:
        return []

    def write(self, write: Callable[[str, bytes], None]) -> None:
        write("admin/once.bin", b"content")
