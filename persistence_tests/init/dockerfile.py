"""What a Dockerfile says of the image that it makes, as far as that can be read without building it."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

_CONTINUED = re.compile(r"\\[ \t]*\n(?:[ \t]*#.*\n)*")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_INSTALLS = re.compile(r"\bapt(?:-get)? (?:-\S+ )*install\b([^;&|]*)|\bapk (?:-\S+ )*add\b([^;&|]*)")


@dataclass(slots=True)
class Built:
    """The last stage. `base` is the image that it begins with; `copies` are (source in the context, target)."""

    base: str = ""
    user: str = ""
    workdir: str = ""
    volumes: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    packages: list[str] = field(default_factory=list)
    copies: list[tuple[str, str]] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def read_dockerfile(text: str, arguments: Mapping[str, str], target: str = "") -> Built:
    """`arguments` are the build arguments, `target` the stage that is built; never raises for a strange file."""
    known = dict(arguments)
    stages: dict[str, Built] = {}
    stage = Built()
    for line in _CONTINUED.sub(" ", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        values = {**known, **stage.environment}
        match word.upper():
            case "ARG":
                name, _, default = rest.partition("=")
                known.setdefault(name.strip(), _plain(default, values))
            case "FROM":
                if target and target in stages:
                    break
                names = [part for part in _plain(rest, values).split() if not part.startswith("--")]
                before = stages.get(names[0]) if names else None
                stage = _continued(before) if before else Built(base=names[0] if names else "")
                stages[names[2] if len(names) > 2 else str(len(stages))] = stage
            case "USER":
                stage.user = _plain(rest, values).split(":")[0]
            case "WORKDIR":
                stage.workdir = posixpath.normpath(posixpath.join(stage.workdir or "/", _plain(rest, values)))
            case "VOLUME":
                stage.volumes += _words(_plain(rest, values))
            case "ENV":
                stage.environment |= _settings(_plain(rest, values))
            case "COPY" | "ADD" if "--from" not in rest:
                parts = [part for part in _words(_plain(rest, values)) if not part.startswith("--")]
                to = posixpath.join(stage.workdir or "/", parts[-1]) if parts else ""
                stage.copies += [(source, _target(source, to, len(parts))) for source in parts[:-1]]
            case "RUN":
                for found in _INSTALLS.finditer(rest):
                    wanted = (found[1] or found[2] or "").split()
                    stage.packages += [each for each in wanted if re.fullmatch(r"[a-z0-9][\w.+-]*", each)]
            case "CMD" | "ENTRYPOINT":
                stage.command = [*(stage.command if word.upper() == "CMD" else ()), *_words(rest)]
    return stages.get(target, stage)


def _continued(before: Built) -> Built:
    return Built(
        before.base,
        before.user,
        before.workdir,
        [*before.volumes],
        {**before.environment},
        [*before.packages],
        [*before.copies],
        [*before.command],
    )


def _target(source: str, to: str, parts: int) -> str:
    """Where a copied file lands: below a directory, or under the very name."""
    return posixpath.join(to, posixpath.basename(source)) if to.endswith("/") or parts > 2 else to


def _plain(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1] or found[3], found[2] or ""), text)


def _words(text: str) -> list[str]:
    if text.startswith("["):
        try:
            return [str(word) for word in json.loads(text)]
        except ValueError:
            return []
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _settings(text: str) -> dict[str, str]:
    words = _words(text)
    if words and "=" not in words[0]:
        return {words[0]: text.partition(" ")[2].strip()}
    return dict(word.split("=", 1) for word in words if "=" in word)
