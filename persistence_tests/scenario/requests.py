"""The operations of a write rule, and the requests that make them: "POST /api/v1/media/{directory}"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from persistence_tests.errors import Problem
from persistence_tests.model.operation import Also, OperationKind
from persistence_tests.scenario.document import Document, Location, shorten
from persistence_tests.scenario.problems import did_you_mean, listed
from persistence_tests.scenario.uploads import not_a_url, taken_by_login, unfillable, upload_problems

OF_A_SERVER = (
    "request", "multipart", "form", "headers", "accepts", "parts", "stored_as", "bytes", "cut", "rows",
)  # fmt: skip
OPERATIONS = ("create", "overwrite", "append", "rename", "delete")
CARRYING = (OperationKind.CREATE, OperationKind.OVERWRITE, OperationKind.APPEND)
METHODS = {
    OperationKind.CREATE: ("POST", "PUT", "PATCH"),
    OperationKind.OVERWRITE: ("PUT", "POST", "PATCH"),
    OperationKind.APPEND: ("PATCH", "POST", "PUT"),
    OperationKind.RENAME: ("POST", "PUT", "PATCH", "MOVE"),
    OperationKind.DELETE: ("DELETE", "POST", "PUT", "PATCH"),
}
EXAMPLES = {
    OperationKind.CREATE: "`POST /upload/{directory}` or `PUT /files/{name}`",
    OperationKind.OVERWRITE: "`PUT /files/{name}`",
    OperationKind.APPEND: "`PATCH /files/{name}`",
    OperationKind.RENAME: "`POST /files/{name}?to={to}`",
    OperationKind.DELETE: "`DELETE /files/{name}`",
}


def operation_problems(
    document: Document, rule_at: Location, rule: dict[str, Any], *, served: bool
) -> Iterator[Problem]:
    """What is wrong with the operations and requests of a rule that writes through an HTTP path (`served`)
    or another one."""
    wanted = _operations(rule)
    yield from _too_few_files(document, rule_at, rule, wanted)
    if not served:
        for key in OF_A_SERVER:
            if key in rule:
                what = f"`{rule['through']}` is not an HTTP path, it takes no `{key}`"
                yield document.problem((*rule_at, key), what, "remove the key", key=True)
        return
    if "also" in rule:
        what = f"nothing but files with bytes can be written through `{rule['through']}`"
        yield document.problem(
            (*rule_at, "also"), what, "remove the key, or write through `direct`", key=True
        )
    if "overwrite" in rule:
        what = f"how a file is overwritten through `{rule['through']}` is the server's own affair"
        yield document.problem((*rule_at, "overwrite"), what, "remove the key", key=True)
    yield from upload_problems(document, rule_at, rule, wanted)
    if "parts" in rule:
        return
    if "request" not in rule:
        what = f"writing through `{rule['through']}` needs a `request`"
        yield document.problem(
            rule_at, what, f"add `request`, and {_example(OperationKind.CREATE)}", key=True
        )
        return
    at, request = (*rule_at, "request"), rule["request"]
    requests = {"create": request} if isinstance(request, str) else request
    if not isinstance(requests, dict):
        return
    for place, name in enumerate(wanted):
        if name not in requests and name != "create":
            kind = OperationKind(name)
            what = f"nothing says by which request `{rule['through']}` makes the operation `{name}`"
            mapping = "add it to `request`" if isinstance(request, dict) else "make `request` a mapping"
            remedy = f"{mapping}, with `{name}` like {EXAMPLES[kind]}"
            yield document.problem((*rule_at, "operations", place), what, remedy)
    for name, one in requests.items():
        if name not in OPERATIONS:
            continue
        where = at if isinstance(request, str) else (*at, name)
        if name not in wanted:
            what = f"nothing sends this request: the rule's operations are {listed(wanted)}"
            yield document.problem(
                where, what, f"add `{name}` to `operations`", key=not isinstance(request, str)
            )
        yield from _request_problems(document, where, OperationKind(name), one, rule)


def _operations(rule: dict[str, Any]) -> list[str]:
    wanted = rule.get("operations", ["create"])
    return [name for name in wanted if name in OPERATIONS] if isinstance(wanted, list) else ["create"]


def _too_few_files(
    document: Document, rule_at: Location, rule: dict[str, Any], wanted: list[str]
) -> Iterator[Problem]:
    files, least = rule.get("files"), _least_files(wanted, rule.get("also"))
    if isinstance(files, int) and 1 <= files < least:
        what = f"{files} files a step are too few for all that is asked for: each takes a file of its own"
        yield document.problem((*rule_at, "files"), what, f"write at least {least} files")


def _least_files(wanted: list[str], also: Any) -> int:
    """One is left as it was written; one in four that is given a mode or an attribute is never changed."""
    asked = also if isinstance(also, list) else []
    taken = len(wanted) - 1 + sum(each in asked for each in (Also.SYMLINKS, Also.HARD_LINKS))
    if Also.MODES in asked or Also.XATTRS in asked:
        return next(files for files in range(1, 100) if files - -(-files // 4) >= taken)
    return taken + 1


def _request_problems(
    document: Document, at: Location, kind: OperationKind, request: Any, rule: dict[str, Any]
) -> Iterator[Problem]:
    from persistence_tests.paths.origin import placeholders
    from persistence_tests.paths.request import OF_THE_NAME, OF_THE_TARGET

    headers = request.get("headers", {}) if isinstance(request, dict) else {}
    form = request.get("form", {}) if isinstance(request, dict) else {}
    of_kind = OF_THE_NAME | OF_THE_TARGET if kind is OperationKind.RENAME else OF_THE_NAME
    if form and kind in CARRYING:
        what = f"the request of `{kind}` carries the file, it takes no form of its own"
        remedy = "write the fields under `form` of the rule, beside `multipart`"
        yield document.problem((*at, "form"), what, remedy, key=True)
    yield from unfillable(
        document, (*at, "form"), form, of_kind | taken_by_login(document, rule.get("through"))
    )
    if isinstance(request, dict):
        at, request = (*at, "send"), request.get("send")
    if not isinstance(request, str) or not isinstance(headers, dict):
        return
    method, _, url = request.partition(" ")
    if method not in METHODS[kind]:
        does = "writes" if kind is OperationKind.CREATE else f"can {kind}"
        what = f"`{shorten(request)}` does not begin with a method that {does}"
        yield document.problem(at, what, _example(kind))
        return
    if problems := list(not_a_url(document, at, url, _example(kind))):
        yield from problems
        return
    fields = {field for text in (url, *map(str, headers.values())) for field in placeholders(text)}
    known = sorted(of_kind)
    unknown = fields.difference(known)
    for field in sorted(unknown):
        what = f"`{{{shorten(field)}}}` is nothing that can be filled in"
        yield document.problem(at, what, did_you_mean(field, known, "a request holds, in braces,"))
    if unknown:
        return
    fields |= {
        field
        for text in (form.values() if isinstance(form, dict) else ())
        for field in placeholders(str(text))
    }
    if kind is OperationKind.RENAME and not fields & {"to", "to_filename"}:
        yield document.problem(at, "the request does not say what the new name is", "add `{to}` to the URL")
    yield from _unnamed(document, at, kind, fields, rule)


def _unnamed(
    document: Document, at: Location, kind: OperationKind, fields: set[str], rule: dict[str, Any]
) -> Iterator[Problem]:
    if "name" in fields or "stored_as" in rule:
        return
    carries = kind in CARRYING
    if "filename" not in fields and not (carries and "multipart" in rule):
        what = f"the request does not say which file it {'writes' if carries else f'{kind}s'}"
        remedy = "add `{name}` to the URL"
        remedy += ", or `multipart` with the name of the form's field" if carries else ""
        yield document.problem(at, what, remedy)
    elif "directory" not in fields and _several(rule.get("into")):
        what = f"the request does not say {'into' if carries else 'in'} which directory it "
        what += "writes" if carries else f"{kind}s"
        yield document.problem(at, what, "add `{directory}` to the URL, or write the one that it writes into")


def _several(into: Any) -> bool:
    """Whether there are several directories: of one the server may know itself that all its files go there."""
    return isinstance(into, list) and len(into) > 1


def _example(kind: OperationKind) -> str:
    return f"write it like {EXAMPLES[kind]}"
