"""What a user may ask of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Keep(StrEnum):
    """When a stack is left running after its scenario."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Settings:
    """`report_dir` holds one directory a run; `engine` is a Docker URL, None for the current context's.

    `paths` are the paths to verify, empty for all; what is written does not change with it. `part_of` is the run that
    this one is a part of, and the name of the part: several processes make one run.
    """

    report_dir: Path
    seed: int
    engine: str | None = None
    keep: Keep = Keep.NEVER
    paths: frozenset[str] = frozenset()
    part_of: tuple[str, str] | None = None
