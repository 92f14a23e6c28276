"""Which URLs an nginx configuration answers with files, and from which directory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

DEFAULT_PORT = 80
_PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass")
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|([{};])|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|((?:\$\{|[^\s{};])+\}?)"""
)


@dataclass(frozen=True, slots=True)
class Directive:
    words: tuple[str, ...]
    block: tuple[Directive, ...] = ()


@dataclass(frozen=True, slots=True)
class Served:
    """Files below `directory`, a path in the container, answered at `prefix` ("" for the whole site).

    `encrypted` where all of the server's ports speak TLS.
    """

    ports: tuple[int, ...]
    prefix: str
    directory: str
    encrypted: bool = False


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Requests at `prefix`, handed to `upstream`: "http://app:8000", or the servers that a block of that name has."""

    ports: tuple[int, ...]
    prefix: str
    upstream: str


@dataclass(slots=True)
class _Server:
    ports: list[int] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)


def read_nginx(files: Mapping[str, str]) -> list[Served | Forwarded]:
    """What all servers in `files` (text by path in the container) answer, in their order; included files too."""
    parsed = {path: parse(text) for path, text in files.items()}
    found: list[Served | Forwarded] = []
    for directives in parsed.values():
        for server in _blocks(directives, "server"):
            found += _server(_with_included(server.block, parsed))
    upstreams = {
        block.words[1]: " ".join(each.words[1] for each in block.block if each.words[:1] == ("server",))
        for directives in parsed.values()
        for block in _blocks(directives, "upstream")
        if len(block.words) > 1
    }
    return [
        replace(entry, upstream=upstreams.get(entry.upstream.rpartition("//")[2].strip("/"), entry.upstream))
        if isinstance(entry, Forwarded)
        else entry
        for entry in found
    ]


def parse(text: str) -> tuple[Directive, ...]:
    """The directives of a configuration, as far as it is one."""
    tokens = [
        (found[1], next((found[group] for group in (2, 3, 4) if found[group] is not None), None))
        for found in _TOKEN.finditer(text)
    ]
    at = 0

    def block() -> tuple[Directive, ...]:
        nonlocal at
        found: list[Directive] = []
        words: list[str] = []
        while at < len(tokens):
            mark, word = tokens[at]
            at += 1
            if word is not None:
                words.append(word)
            elif mark == ";":
                found.append(Directive(tuple(words)))
                words = []
            elif mark == "{":
                found.append(Directive(tuple(words), block()))
                words = []
            elif mark == "}":
                break
        return tuple(found)

    top: list[Directive] = []
    while at < len(tokens):
        top += block()
    return tuple(directive for directive in top if directive.words)


def _blocks(directives: tuple[Directive, ...], name: str) -> Iterator[Directive]:
    for directive in directives:
        if directive.words[:1] == (name,) and directive.block:
            yield directive
        elif directive.words[:1] == ("http",):
            yield from _blocks(directive.block, name)


def _with_included(
    block: tuple[Directive, ...], files: Mapping[str, tuple[Directive, ...]]
) -> Iterator[Directive]:
    for directive in block:
        if directive.words[:1] == ("include",) and len(directive.words) == 2:
            pattern = re.escape(directive.words[1]).replace(r"\*", "[^/]*")
            for path, included in files.items():
                if re.fullmatch(f"(.*/)?{pattern}", path):
                    yield from included
        else:
            yield directive


def _server(block: Iterator[Directive]) -> Iterator[Served | Forwarded]:
    directives = [directive for directive in block if directive.words]
    if any(directive.words[0] == "return" for directive in directives):
        return  # it only sends elsewhere
    listens = [directive.words[1:] for directive in directives if directive.words[0] == "listen"]
    ports = tuple(dict.fromkeys(port for words in listens if (port := _port(words)) is not None))
    encrypted = bool(listens) and all("ssl" in words for words in listens)
    yield from _locations(directives, "", ports or (DEFAULT_PORT,), encrypted, "")


def _port(words: tuple[str, ...]) -> int | None:
    number = words[0].rpartition(":")[2] if words else ""
    return int(number) if number.isdigit() and 0 < int(number) < 65536 else None


def _locations(
    directives: list[Directive], prefix: str, ports: tuple[int, ...], encrypted: bool, root: str
) -> Iterator[Served | Forwarded]:
    said = {directive.words[0]: directive.words[1:] for directive in directives}
    root = _argument(said.get("root")) or root
    alias = _argument(said.get("alias"))
    upstream = next((said[word] for word in _PASSES if word in said), None)
    closed = "internal" in said or "return" in said
    for directive in directives:
        if directive.words[0] == "location" and (own := _prefix(directive.words[1:])) is not None:
            yield from _locations(list(directive.block), own, ports, encrypted, root)
    if closed:
        return
    if upstream:
        yield Forwarded(ports, prefix, " ".join(upstream))
    elif alias:
        yield Served(ports, prefix, alias.rstrip("/"), encrypted)
    elif root and (prefix or not _has_site(directives)):
        yield Served(ports, prefix, root.rstrip("/") + prefix, encrypted)


def _has_site(directives: list[Directive]) -> bool:
    """Whether a location answers for the whole site, so that the server's own root does not."""
    return any(each.words[0] == "location" and _prefix(each.words[1:]) == "" for each in directives)


def _prefix(words: tuple[str, ...]) -> str | None:
    """The URL prefix of a location, without its last slash; None for a pattern or a single URL."""
    if words and words[0] == "^~":
        words = words[1:]
    if len(words) != 1 or not words[0].startswith("/"):
        return None
    return words[0].rstrip("/")


def _argument(words: tuple[str, ...] | None) -> str:
    """The only argument where it is a plain one, without variables."""
    return words[0] if words and len(words) == 1 and "$" not in words[0] else ""
