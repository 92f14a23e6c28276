"""How to look at a stack that was left running, and how to be rid of it."""

from __future__ import annotations

from persistence_tests.report.printable import printable
from persistence_tests.report.result import KeptResult
from persistence_tests.report.wording import command


def looking(kept: KeptResult) -> list[tuple[str, str]]:
    """What there is to do and the command for it, which can be pasted into a shell."""
    engine = f"DOCKER_HOST={command(kept.engine)} " if kept.engine else ""
    compose = (*kept.compose, "-p", kept.project)
    lines = [
        ("containers", engine + command(*compose, "ps", "--all")),
        ("logs", engine + command(*compose, "logs", "--timestamps")),
        *(
            ("look inside", engine + command(*compose, "exec", service, "sh"))
            for service in kept.services[:3]
        ),
    ]
    if kept.volumes:
        lines.append(("volumes", engine + command("docker", "volume", "inspect", *kept.volumes)))
    removal = ("persistence", "clean", *(("--engine", kept.engine) if kept.engine else ()))
    return [*lines, ("project", command("ls", kept.workspace)), ("remove all", command(*removal))]


def kept_lines(kept: KeptResult) -> list[str]:
    """The same, as lines."""
    return [
        f"left running: {printable(kept.project)}",
        *(f"  {what:<12} {line}" for what, line in looking(kept)),
    ]
