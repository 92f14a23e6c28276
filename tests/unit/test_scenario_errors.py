"""Every error a scenario file can hold, as the user reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.unit.scenario_vocabulary import SOUND, complaints, written

NAME = "wrong.persistence.yaml"

# What is put in the place of what, in a sound file.
EDITS: dict[str, list[tuple[str, str]]] = {
    "unknown key": [("  compose: compose.yaml", "  compose: compose.yaml\n  profile: [backup]")],
    "unknown key far from any": [("  compose: compose.yaml", "  compose: compose.yaml\n  zzz: 1")],
    "unknown key at the top": [("events:", "evnets:")],
    "key of a later part": [("claims:\n", "bundles: []\nclaims:\n")],
    "misspelt required key": [("compose: compose.yaml", "compsoe: compose.yaml")],
    "missing section": [("events:\n  - restart\n  - kill: { service: app, while: writing }\n", "")],
    "missing key": [(", root: /data", "")],
    "unknown kind of path": [("  direct: {", "  dirct: {"), ("through: direct", "through: dirct")],
    "unknown event": [("- restart", "- restrat")],
    "unknown event far from any": [("- restart", "- earthquake")],
    "unknown event with options": [("- kill: {", "- kil: {")],
    "unknown option": [("{ service: app, while", "{ serivce: app, while")],
    "options beside the event": [("kill: { service: app, while: writing }", "kill:\n    service: app")],
    "several events in one entry": [("- restart", "- { restart: {}, up: {} }")],
    "event that is a number": [("- restart", "- 3")],
    "empty event": [("- restart", "-")],
    "no events": [("events:\n  - restart\n  - kill: { service: app, while: writing }", "events: []")],
    "missing option": [("- restart", "- backup-restore: { backup: ./b }")],
    "bare event that needs options": [("- restart", "- backup-restore")],
    "own commands not allowed": [("- restart", "- backup-restore: { backup: ./b, restore: ./r }")],
    "set-up not allowed": [("compose: compose.yaml", "compose: compose.yaml\n  setup: [./seed.sh]")],
    "number for text": [("service: app, root", "service: 3, root")],
    "text for a number": [("files: 4", 'files: "4"')],
    "fraction for a whole number": [("files: 4", "files: 4.5")],
    "text for a list": [("into: [uploads]", "into: uploads")],
    "list for text": [("through: direct", "through: [direct]")],
    "text for a mapping": [('{ directories: [admin, blog, uploads], mode: "0755" }', "admin")],
    "none of two types": [("service: app, while", "service: 3, while")],
    "value out of range": [("port: 8001", "port: 80010")],
    "too few files": [("files: 4", "files: 0")],
    "not one of the values": [("files: 4", "kinds: [bytes, pgn]")],
    "not the only value": [("while: writing", "while: dreaming")],
    "gate without while": [("while: writing", "after: { acknowledged: 5 }")],
    "gate of the others": [("while: writing", "while: writing, after: { read: 5 }")],
    "two gates": [("while: writing", "while: writing, after: { acknowledged: 5, sent: 10 }")],
    "gate that is no number": [("while: writing", "while: writing, after: { sent: 64KiB }")],
    "gate that is a clock": [("while: writing", "while: writing, after: { seconds: 5 }")],
    "listed twice": [("[admin, blog], files", "[admin, admin], files")],
    "empty list": [("into: [uploads]", "into: []")],
    "empty text": [("through: direct", 'through: ""')],
    "empty key": [("mode: ", 'ignore: , mode: ')],
    "empty section": [("stack:", "promise:\nstack:")],
    "empty entry": [("[admin, blog], files", "[admin, ~], files")],
    "mode without quotes": [('mode: "0755"', "mode: 0755")],
    "octal mode without quotes": [('mode: "0755"', "mode: 0o755")],
    "mode that is none": [('mode: "0755"', 'mode: "rwx"')],
    "duration that is none": [("url: /health", "url: /health, within: soon")],
    "size that is none": [("files: 4", "sizes: [0, 4 kilo]")],
    "size in parts of a byte": [("files: 4", "sizes: [0.3KiB]")],
    "directory outside": [("[admin, blog], files", "[../admin, /blog], files")],
    "directory that is the root": [("directories: [admin", "directories: [., admin")],
    "unknown trait of names": [("files: 4", "without: [nestd]")],
    "event of a machine": [("- restart", "- host-crash\n  - prune: { title: tidy }")],
    "event of single volumes in a machine": [
        ("compose: compose.yaml", "compose: compose.yaml\n  isolation: machine"),
        ("- restart", "- power-loss: { strict: true }"),
    ],
    "other isolation": [("compose: compose.yaml", "compose: compose.yaml\n  isolation: none")],
    "unknown commands": [("compose: compose.yaml", "compose: compose.yaml\n  commands: all")],
    "option of a path that contradicts": [("{ volume: media }", "{ volume: media, bind: ./media }")],
    "rule through no path": [("through: direct", "through: direkt")],
    "rule through a path that only reads": [("through: direct", "through: volume")],
    "rule without request": [('request: "POST /files/{directory}", ', "")],
    "request for a path without": [("files: 4", "request: PUT /x, multipart: f")],
    "parts of a server for a path without": [("files: 4", "files: 4, cut: 1, stored_as: { json: a }")],
    "name learnt from two places": [("into: [uploads]", "into: [uploads], stored_as: { json: a, header: b }")],
    "name learnt by a pattern without a group": [
        ("into: [uploads]", "into: [uploads], stored_as: { pattern: 'stored as .*' }")
    ],
    "name without its value": [("into: [uploads]", "into: [uploads], stored_as: { json: a, name: up.png }")],
    "as stored beside other operations": [
        ("into: [uploads]", "into: [uploads], operations: [create, append], bytes: as-stored, stored_as: { json: a }"),
        ('"POST /files/{directory}"', '{ create: "POST /files/{directory}", append: "PATCH /{name}" }'),
    ],
    "as stored where nothing reads what is stored": [
        ("into: [uploads]", "into: [uploads], bytes: as-stored"),
        ("  volume: { volume: media }\n  direct: { service: app, root: /data }\n", ""),
        ("  - { through: direct, into: [admin, blog], files: 4 }\n", ""),
    ],
    "form without a form": [("multipart: file, into: [uploads]", "into: ['.'], form: { title: x }")],
    "header that nothing fills": [("into: [uploads]", "into: [uploads], headers: { X-Token: '{tokn}' }")],
    "every file disturbed": [("into: [uploads]", "into: [uploads], files: 2, cut: 2")],
    "parts beside a request": [
        ("into: [uploads]", "into: [uploads], parts: { size: 1KiB, request: 'PATCH /{name}?at={offset}' }")
    ],
    "parts that say nothing": [
        ('request: "POST /files/{directory}", multipart: file', "parts: { size: 0, request: 'PATCH /{name}' }")
    ],
    "part taken under a number": [
        (
            'request: "POST /files/{directory}", multipart: file',
            "parts: { size: 1KiB, start: POST /start, request: 'PATCH {x}', take: { 1: { json: id } } }",
        )
    ],
    "part that no request carries": [
        (
            'request: "POST /files/{directory}", multipart: file',
            r'parts: { size: 1KiB, request: "PUT /\0{name}?{offset}" }',
        )
    ],
    "parts that lead nowhere": [
        (
            'request: "POST /files/{directory}", multipart: file',
            "parts: { size: 1KiB, start: 'GET /start', request: 'PATCH {upload}', headers: { Offset: '{ofset}' }, "
            "finish: done, take: { id: { json: id } } }",
        )
    ],
    "request without method": [("POST /files", "/files")],
    "request without path": [("POST /files/{directory}", "POST files")],
    "request with unknown field": [("{directory}", "{dir}")],
    "request without file": [("multipart: file, ", "")],
    "request without directory": [
        ("POST /files/{directory}", "POST /files"), ("into: [uploads]", "into: [uploads, more]"),
    ],
    "operation without request": [("into: [uploads]", "into: [uploads], operations: [create, delete]")],
    "operation without request in a mapping": [
        ('"POST /files/{directory}"', '{ create: "POST /files/{directory}", overwrite: "PUT /files/{name}" }'),
        ("into: [uploads]", "into: [uploads], operations: [create, overwrite, rename]"),
    ],
    "request for an operation that is not made": [
        ('"POST /files/{directory}"', '{ create: "POST /files/{directory}", delete: "DELETE /files/{name}" }')
    ],
    "request for no operation": [
        ('"POST /files/{directory}"', '{ create: "POST /files/{directory}", remove: "DELETE /files/{name}" }')
    ],
    "requests without create": [('"POST /files/{directory}"', '{ overwrite: "PUT /files/{name}" }')],
    "requests that are wrong": [
        ("into: [uploads]", "into: [uploads], operations: [create, overwrite, append, rename, delete]"),
        ('"POST /files/{directory}"', """{
      create: "POST /files/{directory}",
      overwrite: "GET /files/{name}",
      append: "PATCH files/{name}",
      rename: "POST /files/{name}",
      delete: "DELETE /files/{to}" }"""),
    ],
    "request that is a number": [('"POST /files/{directory}"', "3")],
    "request of an operation that is a list": [('"POST /files/{directory}"', "{ create: [POST] }")],
    "request with unknown key": [('"POST /files/{directory}"', '{ create: { send: "POST /{name}", header: {} } }')],
    "rename by header without the new name": [
        ("into: [uploads]", "into: [uploads], operations: [create, rename]"),
        ('"POST /files/{directory}"', """{ create: "POST /files/{directory}",
      rename: { send: "MOVE /files/{name}", headers: { Destination: "/files/{two}" } } }"""),
    ],
    "unknown operation": [("files: 4", "operations: [create, modify]")],
    "operations without create": [("files: 4", "operations: [overwrite]")],
    "fewer files than operations": [("files: 4", "files: 2, operations: [create, append, delete]")],
    "way to overwrite of a server": [("into: [uploads]", "into: [uploads], overwrite: in-place")],
    "links through a server": [("into: [uploads]", "into: [uploads], also: [symlinks]")],
    "nothing that can be written as well": [("files: 4", "also: [hardlinks]")],
    "fewer files than are taken": [("files: 4", "files: 2, operations: [create, delete], also: [symlinks, modes]")],
    "no way to overwrite": [("files: 4", "overwrite: atomic")],
    "no writers": [("files: 4", "writers: 0")],
    "ready by an unknown path": [("ready: { path: api", "ready: { path: apy")],
    "ready by a path without URL": [("ready: { path: api", "ready: { path: direct")],
    "ready by a path and no URL": [("ready: { path: api, url: /health }", "ready: { path: api }")],
    "ready at no path of a URL": [("url: /health", "url: health")],
    "ready at a URL that no request carries": [("url: /health", "url: /health check")],
    "request that cannot be sent as it stands": [("POST /files/{directory}", "POST /médias/{directory}")],
    "request with a line separator": [('"POST /files/{directory}"', r'"POST /\u2028files/{directory}"')],
    "promise for an unknown path": [("expect:", "promise: { acknowledged: { apo: http-2xx } }\nexpect:")],
    "promise for a path that only reads": [("expect:", "promise: { atomic: { volume: true } }\nexpect:")],
    "promise that no write keeps": [("expect:", "promise: { acknowledged: { api: exit-0 } }\nexpect:")],
    "promise of no class": [("expect:", "promise: { classes: [power-lose] }\nexpect:")],
    "claim shown by nothing": [("container: kill", "container: kil")],
    "claim shown by something far from any": [("container: kill", "container: reboot-of-it")],
    "claim that is a list": [("container: kill", "container: [kill]")],
    "no Compose file": [("compose: compose.yaml", "compose: [compose.yaml, nowhere.yaml]")],
    "Compose file that is a directory": [("compose: compose.yaml", "compose: ..")],
    "duplicate key": [("claims:\n", "claims:\n  Force kill container: kill\n")],
    "duplicate section": [("claims:\n", "events: [up]\nclaims:\n")],
    "merge key": [("{ volume: media }", "{ <<: { volume: media }, volume: media }")],
    "key that is a number": [("  Force kill container: kill", "  1: kill")],
    "key that is a list": [("  Force kill container: kill", "  ? [a]\n  : kill")],
    "tag": [("files: 4", "files: !!python/object:os.system 4")],
    "not a number": [("files: 4", "files: .nan")],
    "number without end": [("files: 4", f"files: {'9' * 5000}")],
    "half a character": [("into: [uploads]", 'into: ["\\ud800"]')],
    "tab": [("  compose:", "\tcompose:")],
    "open bracket": [("into: [uploads]", "into: [uploads")],
    "open quote": [('mode: "0755"', 'mode: "0755')],
    "colon in a value": [("Force kill container: kill", "Force: kill: container")],
    "undefined alias": [("files: 4", "files: *many")],
    "two documents": [("claims:", "---\nclaims:")],
    "endless alias": [("[admin, blog], files", "&a [*a], files")],
}  # fmt: skip

CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "only comments": b"# nothing yet\n",
    "a list": b"- restart\n",
    "a text": b"restart\n",
    "binary": b"\x7fELF\x02\x01\x01\x00\x00",
    "latin 1": "stack:\n  compose: übung.yaml\n".encode("latin-1"),
    "utf-16": "stack: {}\n".encode("utf-16"),
    "control character": b"stack:\n  compose: a\x07b\n",
    "too large": b"# " + b"x" * 100_000,
    "nested brackets": b"stack: " + b"[" * 5000,
    "nested levels": b"stack: " + b"[" * 30 + b"]" * 30,
    "alias bomb": b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    + b"".join(
        b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 10))
        for letter in b"bcdefgh"
    ),
    "yaml version": b"%YAML 99999999999999999999.1\n---\na: 1\n",
}


@pytest.mark.parametrize("wrong", EDITS)
def test_message(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    content = SOUND
    for old, new in EDITS[wrong]:
        assert old in content
        content = content.replace(old, new, 1)
    written(tmp_path, content, NAME)
    monkeypatch.chdir(tmp_path)
    assert complaints(NAME) == snapshot


@pytest.mark.parametrize("wrong", CONTENTS)
def test_message_about_content(
    wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    written(tmp_path, CONTENTS[wrong], NAME)
    monkeypatch.chdir(tmp_path)
    assert complaints(NAME) == snapshot


def test_message_about_a_file_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "directory").mkdir()
    assert "\n\n".join(map(complaints, ("nowhere.persistence.yaml", "directory"))) == snapshot


def test_all_errors_at_once_in_the_order_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion
) -> None:
    content = (
        SOUND.replace("compose: compose.yaml", "compose: compos.yaml")
        .replace("port: 8001", "port: none")
        .replace("through: direct", "through: volume")
        .replace('mode: "0755"', "mode: 0755")
        .replace("- restart", "- restrat")
    )
    written(tmp_path, content, NAME)
    monkeypatch.chdir(tmp_path)
    assert complaints(NAME) == snapshot
