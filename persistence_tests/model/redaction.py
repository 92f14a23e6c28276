"""Takes secrets out of free text by their shape: what services log, what the engine and the stack's commands answer.

Values that are known to be secret are hidden wherever they stand (`secrets`); this is the net below.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"

_WORD = r"pass(?:word|wd|phrase|code)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"

_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)


def _after(start: str, secret: str) -> re.Pattern[str]:
    """`secret` where it follows `start`, which stays."""
    return re.compile(f"(?P<start>{start})(?:{secret})", re.IGNORECASE)


_KEPT = (
    # https://user:password@host
    _after(r"\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@]*:", r"[^/\s@]+(?=@)"),
    _after(
        r"\bauthorization[\"']?[ \t]*[:=][ \t]*[\"']?(?:(?:basic|bearer|digest|token|negotiate)[ \t]+)?",
        r"[^\"'\r\n]+",
    ),
    _after(r"\b(?:set-)?cookie[\"']?[ \t]*[:=][ \t]*", r"[^\r\n]+"),
    _after(r"\bbearer\s+", r"[\w.~+/=-]{8,}"),
    # --password secret
    _after(rf"(?<![\w-])--?[\w-]*(?:{_WORD})[\w-]*[ \t]+", r"(?![-'\"\s])[^\s]+"),
    # DB_PASSWORD=secret, "token": "secret", 'secret' => 'x'
    _after(
        rf"(?<![\w.-])[\w.-]*?(?:{_WORD})[\w.-]{{0,60}}[\"']?[ \t]*(?:=>|[:=])[ \t]*",
        r"\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*'|[^\s,;&\"'}\])]+",
    ),
)
_WHOLE = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_\w{30,}\b|\bglpat-[\w-]{20,}\b|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
)

# One look for what every rule needs, since most lines have none of it.
_MARKS = re.compile(
    r"pass|secret|token|key|credential|authorization|cookie|bearer|://|akia|asia|gh[pousr]_|glpat-|sk-|xox|eyj",
    re.IGNORECASE,
)


# Options of well-known clients whose names do not say what they take: too short to hide by in any text.
_OPTIONS = re.compile(
    r"\b(?:mysql|mariadb)[\w-]*\b[^\n;|]{0,300}?\s-p(?P<mysql>[^\s;|\"']+)"
    r"|\bredis-cli\b[^\n;|]{0,300}?\s-a\s*(?P<redis>[^\s;|\"']+)"
    r"|\bcurl\b[^\n;|]{0,300}?\s(?:-u|--user)[\s=]*[\"']?[^\s:]+:(?P<curl>[^\s\"']+)"
)
_VARIABLE = re.compile(r"\$\(?\{?\w+.*")

_FLAG = re.compile(rf"--?[\w-]*(?:{_WORD})[\w-]*", re.IGNORECASE)


def without_secrets_in(node: Any) -> Any:
    """The same configuration without secrets in its texts, and without what follows an option that takes one."""
    if isinstance(node, dict):
        return {key: without_secrets_in(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        options = [False, *(isinstance(item, str) and bool(_FLAG.fullmatch(item)) for item in node)]
        return [
            HIDDEN if after and isinstance(item, str) else without_secrets_in(item)
            for after, item in zip(options, node, strict=False)
        ]
    return without_secrets(node) if isinstance(node, str) else node


def without_secrets(text: str) -> str:
    """The same text with `***` where something has the shape of a secret; line by line, but for private keys."""
    if not _MARKS.search(text):
        return text
    if "PRIVATE KEY-----" in text:
        text = _PEM.sub(rf"\1 {HIDDEN} \2", text)
    for pattern in _KEPT:
        text = pattern.sub(rf"\g<start>{HIDDEN}", text)
    return _WHOLE.sub(HIDDEN, text)


def secrets_shown(text: str) -> set[str]:
    """What `without_secrets` would hide in a text, and what is given to well-known clients as an option."""
    found = [
        match[0][match.end("start") - match.start() :] for rule in _KEPT for match in rule.finditer(text)
    ]
    found += _WHOLE.findall(text)
    found += [value for match in _OPTIONS.finditer(text) for value in match.groups() if value]
    found = [value[1:-1] if value[:1] in {'"', "'"} and value[-1:] == value[:1] else value for value in found]
    found += [unquote(value) for value in found]  # as whoever gets the address reads it
    return {value for value in found if value and not _VARIABLE.fullmatch(value)}


def secrets_shown_in(node: Any) -> set[str]:
    """The same for the texts of a configuration; a list of texts is a command with its arguments."""
    if isinstance(node, dict):
        return set().union(*map(secrets_shown_in, node.values()))
    if isinstance(node, list):
        texts = [item for item in node if isinstance(item, str)]
        others = (secrets_shown_in(item) for item in node if not isinstance(item, str))
        return secrets_shown(" ".join(texts)).union(*map(secrets_shown, texts), *others)
    return secrets_shown(node) if isinstance(node, str) else set()
