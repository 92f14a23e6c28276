"""Takes secrets out of free text: what services log, and what the engine and the stack's commands answer.

Configurations are recorded without them (their keys say which values are secret); this is the net below, for text
whose only mark of a secret is its shape.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_WORD = r"pass(?:word|wd|phrase|code)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?"

_PEM = re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # https://user:password@host
    (re.compile(r"(?P<start>\b[a-z][a-z0-9+.-]{1,20}://[^/\s:@]*):[^/\s@]+@", re.IGNORECASE), rf"\g<start>:{HIDDEN}@"),
    (re.compile(r"(?P<start>\bauthorization[\"']?[ \t]*[:=][ \t]*[\"']?(?:(?:basic|bearer|digest|token|negotiate)[ \t]+)?)[^\"'\r\n]+", re.IGNORECASE),
     rf"\g<start>{HIDDEN}"),
    (re.compile(r"(?P<start>\b(?:set-)?cookie[\"']?[ \t]*[:=][ \t]*)[^\r\n]+", re.IGNORECASE), rf"\g<start>{HIDDEN}"),
    (re.compile(r"(?P<start>\bbearer\s+)[\w.~+/=-]{8,}", re.IGNORECASE), rf"\g<start>{HIDDEN}"),
    # --password secret, -password=secret
    (re.compile(rf"(?P<start>(?<![\w-])--?[\w-]*(?:{_WORD})[\w-]*[ \t]+)(?![-'\"\s])[^\s]+", re.IGNORECASE), rf"\g<start>{HIDDEN}"),
    # DB_PASSWORD=secret, "token": "secret", 'secret': 'x'
    (re.compile(
        rf"(?P<start>(?<![\w.-])[\w.-]*?(?:{_WORD})[\w.-]{{0,60}}[\"']?[ \t]*(?:=>|[:=])[ \t]*)"
        r"(?:\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\\\r\n]|\\.)*'|[^\s,;&\"'}\])]+)", re.IGNORECASE),
     rf"\g<start>{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), HIDDEN),
    (re.compile(r"\bgh[pousr]_\w{30,}\b|\bglpat-[\w-]{20,}\b|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"), HIDDEN),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), HIDDEN),
)  # fmt: skip


def without_secrets(text: str) -> str:
    """The same text with `***` where something has the shape of a secret; line by line, but for private keys."""
    if "PRIVATE KEY-----" in text:
        text = _PEM.sub(rf"\1 {HIDDEN} \2", text)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text
