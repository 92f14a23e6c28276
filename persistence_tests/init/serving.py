"""Which URLs a service answers with files, by its configuration."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.init.dockerfile import Built
from persistence_tests.init.nginx import Forwarded, Served, read_nginx
from persistence_tests.init.places import is_below, is_directory, text_of
from persistence_tests.init.project import Project
from persistence_tests.stack.isolation import unescaped

if TYPE_CHECKING:
    from persistence_tests.init.services import Service

MOST_FILES = 100
NGINX = "/etc/nginx"
_SERVER_PORT = re.compile(r":(\d+)$")


def served_by(
    project: Project, service: dict[str, Any], build: dict[str, Any] | None, built: Built | None, own: Service
) -> list[Served | Forwarded]:
    """What the service answers with files: by its nginx configuration, its command line, or its usual root."""
    if files := _nginx_files(project, service, build, built, own):
        return read_nginx(files)
    from_command = _file_server(own.command, own.workdir)
    if from_command is not None:
        return [from_command]
    root = own.environment.get("APACHE_DOCUMENT_ROOT") or (own.known.document_root if own.known else "")
    if root and own.built and own.known and own.known.title == "nginx":
        root = "/var/www/html"  # Debian's
    if not root and built is not None and re.search(r"(^|/)php:[^/]*apache", built.base):
        root = "/var/www/html"
    return [Served((80,), "", root)] if root else []


def _nginx_files(
    project: Project, service: dict[str, Any], build: dict[str, Any] | None, built: Built | None, own: Service
) -> dict[str, str]:
    """Texts of the configuration that nginx would read, by their path in the container."""
    places = [
        (mount.target, Path(mount.source))
        for mount in own.mounts
        if mount.kind == "bind" and is_below(mount.target, NGINX)
    ]
    if build is not None and built is not None:
        context = Path(unescaped(str(build.get("context") or ".")))
        for source, target in built.copies:
            if is_below(target, NGINX) and "*" not in source:
                places.append((target, context / source.lstrip("/")))
    found: dict[str, str] = {}
    for target, place in places:
        directory = is_directory(place)
        files = [Path(top) / name for top, _, names in os.walk(place) for name in sorted(names)]
        for file in files[:MOST_FILES] if directory else [place]:
            inside = posixpath.join(target, os.path.relpath(file, place)) if directory else target
            if (text := text_of(file)) is not None:
                found[inside] = _filled(text, own.environment) if inside.endswith(".template") else text
    for entry in service.get("configs") or ():
        config = (project.config.get("configs") or {}).get(entry.get("source")) or {}
        target = str(entry.get("target") or "")
        text = config.get("content") or text_of(Path(unescaped(str(config.get("file") or "/nonexistent"))))
        if is_below(target, NGINX) and text:
            found[target] = unescaped(str(text))
    return found


def _filled(text: str, environment: Mapping[str, str]) -> str:
    """As nginx' own image fills its templates: variables that are set."""
    return re.sub(r"\$\{(\w+)\}", lambda each: environment.get(each[1], each[0]), text)


def _file_server(command: tuple[str, ...], workdir: str) -> Served | None:
    """`php -S` and `python -m http.server`, as a stack for development has them, also inside `sh -c`."""
    words = [word for part in command for word in part.split()]
    if "-S" in words and any(re.search(r"(^|/)php[\d.]*$", word) for word in words):
        port = _SERVER_PORT.search(words[words.index("-S") + 1]) if words[-1] != "-S" else None
        root = words[words.index("-t") + 1] if "-t" in words[:-1] else workdir
        return Served((int(port[1]),), "", posixpath.join(workdir, root)) if port else None
    if "http.server" in words:
        after = words[words.index("http.server") + 1 :]
        ports = [int(word) for word in after if word.isdigit()]
        named = [after[at + 1] for at, word in enumerate(after[:-1]) if word in ("-d", "--directory")]
        return Served((ports[0] if ports else 8000,), "", posixpath.join(workdir, *named[:1]))
    return None
