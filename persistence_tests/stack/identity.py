"""The names and labels by which everything that a run makes is known as the run's own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

RUN_LABEL = "persistence-tests.run"
STACK_LABEL = "persistence-tests.stack"
WORKSPACE_LABEL = "persistence-tests.workspace"
HELPER_LABEL = "persistence-tests.helper"
EDITION_LABEL = "persistence-tests.edition"
DISKS_LABEL = "persistence-tests.disks"

CONTROL_SERVICE = "persistence-control"
LONGEST_PROJECT = 40


def project_name(run: str, scenario: str) -> str:
    """A Compose project name of the run's own, at most 40 characters of [a-z0-9-]: "persistence-RUN-SCENARIO"."""
    slug = re.sub(r"[^a-z0-9]+", "-", f"{run}-{scenario}".lower()).strip("-")
    full = f"persistence-{slug}"
    if len(full) <= LONGEST_PROJECT and slug == f"{run}-{scenario}":
        return full
    digest = hashlib.sha256(f"{run}\0{scenario}".encode()).hexdigest()[:8]
    return f"{full[: LONGEST_PROJECT - 9].rstrip('-')}-{digest}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a container, volume, network or image is.

    `project` is the Compose project that the stack began as, and stays the same where that is renamed; `workspace`
    the directory made for it, and `project_directory` the copy of the user's project directory in it.
    """

    run: str
    project: str
    workspace: str
    project_directory: str

    @property
    def labels(self) -> dict[str, str]:
        return {RUN_LABEL: self.run, STACK_LABEL: self.project, WORKSPACE_LABEL: self.workspace}

    def prefixed(self, name: str) -> str:
        """An explicit or external name of the user's, under the run's prefix.

        A dash follows the project, where Compose's own names have an underscore: the two never meet.
        """
        return f"{self.project}-{name}"

    def image(self, reference: str) -> str:
        """The tag that stands for a tag of the user's which the stack builds: "PROJECT/REFERENCE"."""
        registry, slash, rest = reference.partition("@")[0].partition("/")
        return (
            f"{self.project}/{registry.replace(':', '-')}/{rest}" if slash else f"{self.project}/{registry}"
        )
