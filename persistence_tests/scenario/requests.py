"""The `request` of a write rule: "POST /api/v1/media/{directory}"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from persistence_tests.errors import Problem
from persistence_tests.scenario.document import Document, Location, shorten
from persistence_tests.scenario.problems import did_you_mean

METHODS = ("POST", "PUT", "PATCH")
FIELDS = ("directory", "filename", "name")
"""`name` is the whole name below the root: `directory`, a slash and `filename`."""

_EXAMPLE = "write it like `POST /upload/{directory}` or `PUT /files/{name}`"


def request_problem(
    document: Document, rule_at: Location, rule: dict[str, Any], *, served: bool
) -> Iterator[Problem]:
    """What is wrong with the request of a rule that writes through an HTTP path (`served`) or another one."""
    from persistence_tests.paths.origin import placeholders

    request = rule.get("request")
    if not served:
        for key in ("request", "multipart"):
            if key in rule:
                what = f"`{rule['through']}` is not an HTTP path, it takes no `{key}`"
                yield document.problem((*rule_at, key), what, "remove the key", key=True)
        return
    if "request" not in rule:
        what = f"writing through `{rule['through']}` needs a `request`"
        yield document.problem(rule_at, what, f"add `request`, and {_EXAMPLE}", key=True)
        return
    if not isinstance(request, str):
        return
    at = (*rule_at, "request")
    method, _, url = request.partition(" ")
    if method not in METHODS:
        yield document.problem(at, f"`{shorten(request)}` does not begin with a method that writes", _EXAMPLE)
        return
    if not url.startswith("/") or url != url.strip() or " " in url:
        yield document.problem(at, f"`{shorten(url)}` is not the path of a URL", _EXAMPLE)
        return
    fields = placeholders(url)
    unknown = fields.difference(FIELDS)
    for field in sorted(unknown):
        what = f"`{{{shorten(field)}}}` is nothing that can be filled in"
        yield document.problem(at, what, did_you_mean(field, FIELDS, "a request holds, in braces,"))
    if unknown or "name" in fields:
        return
    if "filename" not in fields and "multipart" not in rule:
        what = "the request does not say which file it writes"
        remedy = "add `{name}` to the URL, or `multipart` with the name of the form's field"
        yield document.problem(at, what, remedy)
    elif "directory" not in fields and rule.get("into") != ["."]:
        what = "the request does not say into which directory it writes"
        yield document.problem(at, what, "add `{directory}` to the URL, or write `into: [.]`")
