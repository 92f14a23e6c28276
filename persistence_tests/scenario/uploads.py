"""What a write rule says of uploads, where its keys do not go together or lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

from persistence_tests.errors import Problem
from persistence_tests.scenario.document import Document, Location, shorten
from persistence_tests.scenario.problems import did_you_mean, listed
from persistence_tests.scenario.quantities import PERCENT_ENCODE

METHODS = ("POST", "PUT", "PATCH")
_EXAMPLE = "write it like `PATCH /files/{name}?offset={offset}`"
# What is done to a file later needs a name of ours, or content that is known without having been read.
_ALONE = ("stored_as", "parts")


def upload_problems(
    document: Document, rule_at: Location, rule: dict[str, Any], operations: Sequence[str]
) -> Iterator[Problem]:
    """`operations` are those of the rule, which writes through an HTTP path."""
    taken = taken_by_login(document, rule.get("through"))
    if len(operations) > 1:
        for key in (*_ALONE, *(("bytes",) if rule.get("bytes") == "as-stored" else ())):
            if key in rule:
                what = f"with `{key}`, files are created only: the rule's operations are {listed(operations)}"
                remedy = "remove `operations`, or write another rule for them"
                yield document.problem((*rule_at, key), what, remedy, key=True)
    if "form" in rule and "multipart" not in rule:
        what = "there is no form: the body is the file"
        remedy = "add `multipart` with the name of the field that carries the file"
        yield document.problem((*rule_at, "form"), what, remedy, key=True)
    known = {*_OF_THE_NAME, *taken, *(_OF_THE_WHOLE if "parts" in rule else ())}
    for key in ("headers", "form"):
        yield from unfillable(document, (*rule_at, key), rule.get(key), known)
    yield from _too_many(document, rule_at, rule)
    yield from _never_read(document, rule_at, rule)
    parts = rule.get("parts")
    if isinstance(parts, dict):
        yield from _parts(document, rule_at, rule, parts, taken)


_OF_THE_NAME = ("directory", "filename", "name")
_OF_THE_WHOLE = ("size", "parts")


def _parts(
    document: Document, rule_at: Location, rule: dict[str, Any], parts: dict[str, Any], taken: set[str]
) -> Iterator[Problem]:
    from persistence_tests.paths.origin import placeholders
    from persistence_tests.paths.uploading import OF_A_PART

    at = (*rule_at, "parts")
    for key in ("request", "multipart", "form"):
        if key in rule:
            what = f"a file that is uploaded in parts takes no `{key}` beside them"
            yield document.problem((*rule_at, key), what, "remove the key", key=True)
    of_file = {*_OF_THE_NAME, *_OF_THE_WHOLE, *taken}
    from_start = _names(parts.get("take"))
    if from_start and "start" not in parts:
        yield document.problem((*at, "take"), "nothing is answered: there is no `start`", "add it", key=True)
    of_part = of_file | from_start | OF_A_PART
    for key, known in (("start", of_file), ("request", of_part), ("finish", of_file | from_start)):
        if isinstance(parts.get(key), str):
            yield from _request(document, (*at, key), parts[key], known)
    headers = parts.get("headers")
    yield from unfillable(document, (*at, "headers"), headers, of_part)
    texts = [parts.get("request"), *(headers.values() if isinstance(headers, dict) else ())]
    said = {field for text in texts if isinstance(text, str) for field in placeholders(text)}
    if isinstance(parts.get("request"), str) and not said & (OF_A_PART - {"length", *_OF_THE_WHOLE}):
        what = "the request does not say which part it carries"
        yield document.problem((*at, "request"), what, "add `{offset}` or `{number}` to it, or to `headers`")


def _request(document: Document, at: Location, request: str, known: set[str]) -> Iterator[Problem]:
    from persistence_tests.paths.origin import placeholders

    method, _, url = request.partition(" ")
    if method not in METHODS:
        what = f"`{shorten(request)}` does not begin with a method that writes"
        yield document.problem(at, what, _EXAMPLE)
    else:
        yield from not_a_url(document, at, url, _EXAMPLE, ("/", "{"))
    for field in sorted(placeholders(url) - known):
        what = f"`{{{shorten(field)}}}` is nothing that can be filled in"
        yield document.problem(at, what, did_you_mean(field, sorted(known), "it holds, in braces,"))


def not_a_url(
    document: Document, at: Location, url: str, example: str, beginnings: tuple[str, ...] = ("/",)
) -> Iterator[Problem]:
    """Why a request cannot be sent to this URL; `example` is the remedy where it is none at all."""
    from persistence_tests.paths.origin import fits_request_line

    if not url.startswith(beginnings):
        yield document.problem(at, f"`{shorten(url)}` is not the path of a URL", example)
    elif not fits_request_line(url):
        yield document.problem(at, f"no request can carry `{shorten(url)}` as it stands", PERCENT_ENCODE)


def unfillable(document: Document, at: Location, texts: Any, known: Set[str]) -> Iterator[Problem]:
    from persistence_tests.paths.session import placeholders_of

    for name, text in texts.items() if isinstance(texts, dict) else ():
        for field in sorted(placeholders_of([text]) - known):
            what = f"`{{{shorten(field)}}}` is nothing that can be filled in"
            remedy = did_you_mean(field, sorted(known), "there can be, in braces,")
            yield document.problem((*at, name), what, remedy)


def _too_many(document: Document, rule_at: Location, rule: dict[str, Any]) -> Iterator[Problem]:
    parts = rule.get("parts")
    left_out = parts.get("leave_out", 0) if isinstance(parts, dict) else 0
    cut, files = rule.get("cut", 0), rule.get("files", 20)
    if all(isinstance(number, int) for number in (cut, left_out, files)) and cut + left_out >= files > 0:
        key = ("cut",) if "cut" in rule else ("parts", "leave_out")
        if cut + left_out:
            what = f"of {files} files a step none would be left that is acknowledged"
            yield document.problem((*rule_at, *key), what, "write more `files`, or disturb fewer of them")


def _never_read(document: Document, rule_at: Location, rule: dict[str, Any]) -> Iterator[Problem]:
    paths = document.data.get("paths")
    if (
        rule.get("bytes") == "as-stored"
        and isinstance(paths, dict)
        and not {"volume", "direct"} & paths.keys()
    ):
        what = "nothing shows what the server made of a file: no path reads where files are stored"
        yield document.problem((*rule_at, "bytes"), what, "add a `volume` or `direct` path")


def taken_by_login(document: Document, path: Any) -> set[str]:
    """What the login of a path takes."""
    paths = document.data.get("paths")
    config = paths.get(path) if isinstance(paths, dict) and isinstance(path, str) else None
    login = config.get("login") if isinstance(config, dict) else None
    steps = [step for step in login if isinstance(step, dict)] if isinstance(login, list) else []
    return set().union(*(_names(step.get("take")) for step in steps))


def _names(take: Any) -> set[str]:
    return {name for name in take if isinstance(name, str)} if isinstance(take, dict) else set()
