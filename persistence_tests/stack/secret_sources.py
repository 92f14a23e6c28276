"""Where a stack's secrets come from: what is known before it starts is told to `Secrets`, and hidden from then on.

Learned are, by their key, values of the environment and of the services' environments, build arguments, labels and
driver options; passwords in addresses; what secrets hold; and what commands and health checks are given as options.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from persistence_tests.model.redaction import secrets_shown, secrets_shown_in
from persistence_tests.model.secrets import Secrets
from persistence_tests.stack.isolation import unescaped
from persistence_tests.stack.redaction import SECRET_KEY, VALUED

LARGEST = 64 * 1024  # bytes of a secret's file that are looked at
SECRET_HEADER = re.compile(r"authorization|cookie|session", re.IGNORECASE)
COMMANDS = ("command", "entrypoint", "healthcheck", "pre_start", "post_start", "pre_stop")

_ENTRY = re.compile(r"([^\s=]+)=(.*)", re.DOTALL)


def learn_environment(secrets: Secrets, printed: str) -> dict[str, str]:
    """What `docker compose config --environment` printed: the process's environment and the project's `.env`."""
    variables: dict[str, str] = {}
    last = None
    for line in printed.splitlines():
        if entry := _ENTRY.fullmatch(line):
            last, variables[last] = entry[1], entry[2]
        elif last is not None:
            variables[last] += f"\n{line}"
    learn_variables(secrets, variables)
    return variables


def learn_variables(secrets: Secrets, variables: Mapping[str, Any]) -> None:
    for key, value in variables.items():
        if isinstance(value, str):
            if SECRET_KEY.search(key):
                secrets.add(value)
            secrets.add(*secrets_shown(value))


def learn_scenario(secrets: Secrets, node: Any) -> None:
    """What a scenario file says: headers, a login, what its commands get, what it merges over Compose files."""
    if isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, str) and (SECRET_KEY.search(key) or SECRET_HEADER.search(key)):
                # A header's scheme is none: "Bearer TOKEN". In what becomes a Compose file a dollar stands twice.
                secrets.add(value, value.rpartition(" ")[2], unescaped(value))
            learn_scenario(secrets, value)
    elif isinstance(node, list):
        for value in node:
            if isinstance(value, str) and (entry := _ENTRY.fullmatch(value)):
                learn_scenario(secrets, {entry[1]: entry[2]})
            learn_scenario(secrets, value)
    elif isinstance(node, str):
        secrets.add(*secrets_shown(node))


def learn_configuration(secrets: Secrets, config: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """A resolved configuration, and the environment it was resolved in."""
    secrets.publish(_names(config))
    for service in _part(config, "services").values():
        build = service.get("build")
        for holder in (service, build if isinstance(build, dict) else {}):
            for key in VALUED:
                learn_variables(secrets, _unescaped(_mapping(holder.get(key))))
        for key in COMMANDS:
            secrets.add(*secrets_shown_in(_unescaped(service.get(key))))
    for volume in _part(config, "volumes").values():
        learn_variables(secrets, _unescaped(_mapping(volume.get("driver_opts"))))
    for secret in _part(config, "secrets").values():
        secrets.add(*_content(secret, environment))
    for entry in _part(config, "configs").values():
        for content in _content(entry, environment):
            secrets.add(*secrets_shown(content))


def _content(entry: Mapping[str, Any], environment: Mapping[str, str]) -> Iterator[str]:
    if isinstance(entry.get("content"), str):
        yield unescaped(entry["content"])
    if isinstance(entry.get("environment"), str):
        yield environment.get(entry["environment"], "")
    if isinstance(entry.get("file"), str):
        with suppress(OSError), Path(unescaped(entry["file"])).open("rb") as file:
            yield file.read(LARGEST).decode(errors="replace")


def _names(config: Mapping[str, Any]) -> Iterator[str]:
    """Names that a report must show, even where somebody took one of them as a password."""
    yield str(config.get("name"))
    for kind in ("services", "volumes", "networks", "secrets", "configs"):
        for key, part in _part(config, kind).items():
            yield from (key, str(part.get("name")))
    for service in _part(config, "services").values():
        for key in ("container_name", "hostname", "image", "user", "working_dir"):
            yield from _parts_of(str(service.get(key) or ""))
        for mount in service.get("volumes") or ():
            if isinstance(mount, dict):
                yield from _parts_of(str(mount.get("source") or ""))
                yield from _parts_of(str(mount.get("target") or ""))


def _parts_of(name: str) -> Iterable[str]:
    return {name, posixpath.basename(name), *re.split(r"[/:@]", name)}


def _unescaped(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _unescaped(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_unescaped(value) for value in node]
    return unescaped(node) if isinstance(node, str) else node


def _part(config: Mapping[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {key: part for key, part in (config.get(kind) or {}).items() if isinstance(part, dict)}


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
