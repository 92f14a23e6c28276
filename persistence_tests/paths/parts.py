"""Uploads in several parts, each sent once, in order or out of order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

from persistence_tests.model.operation import Outcome
from persistence_tests.paths.answer import Answer
from persistence_tests.paths.base import Content, PendingWrite
from persistence_tests.paths.request import names_of
from persistence_tests.paths.sending import Request, Sender
from persistence_tests.paths.session import Session
from persistence_tests.paths.uploading import Parts, Uploading

_RESUME = 308
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class _Part:
    content: Content
    offset: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        for place in range(0, self.size, _PIECE):
            yield self.slice(place, _PIECE)

    def slice(self, offset: int, length: int) -> bytes:
        return self.content.slice(self.offset + offset, min(length, self.size - offset))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it got: `answers` from the first to the last, `problem` where it ended early."""

    outcome: Outcome | None
    answers: list[Answer]
    problem: str = ""


def upload_in_parts(
    sender: Sender, session: Session, pending: PendingWrite, uploading: Uploading, content_type: str
) -> Progress:
    """Send all requests; the outcome is left open (None) where the last answer decides.

    `fail` where the very first request was refused. Whatever ends in the middle is `info`, and so is an upload of
    which a part was left out, whatever is answered. Raises what Sender.send does.
    """
    parts, content = uploading.parts, pending.content
    assert parts is not None and content is not None
    values = names_of(pending.operation) | {"size": str(content.size), "parts": str(_count(parts, content))}
    answers: list[Answer] = []

    def send(line: str, part: _Part | None, more: dict[str, str]) -> Answer:
        known = values | more
        address = sender.address()
        texts = dict(uploading.headers) | (dict(parts.headers) if part else {})
        headers = session.fill(address, {name.title(): text for name, text in texts.items()}, known)
        method, _, url = line.partition(" ")
        target = session.target(address, url, known)
        if part is not None:
            headers.setdefault("Content-Type", content_type)
        request = Request(method, target, headers, part)
        if part is not None and pending.cut_after is not None:
            within = pending.cut_after - part.offset
            request.cut_after = within if 0 <= within < part.size else None
        answers.append(sender.send(request))
        return answers[-1]

    if parts.start is not None:
        answer = send(parts.start, None, {})
        if not _goes_on(answer):
            return _ended(answers, "the first request")
        for name, taking in parts.take.items():
            taken = taking.of(answer)
            if taken is None:
                return Progress(Outcome.INFO, answers, f"the answer has no {taking}")
            values[name] = _on_this_server(taken)
    order = _order(parts, content, pending)
    for sent, (number, part) in enumerate(order, start=1):
        answer = send(parts.request, part, _of(number, part))
        last = sent == len(order) and parts.finish is None
        if not _goes_on(answer) and not last:
            return _ended(answers, f"part {number + 1} of {values['parts']}")
    if parts.finish is not None:
        send(parts.finish, None, {})
    if pending.left_out:
        return Progress(Outcome.INFO, answers, "a part was left out")
    refused = 400 <= answers[-1].status < 500 and len(answers) > 1
    # What was taken before may be in the file.
    return Progress(Outcome.INFO if refused else None, answers, "refused at the end" if refused else "")


def _count(parts: Parts, content: Content) -> int:
    return max(1, -(-content.size // parts.size))


def _order(parts: Parts, content: Content, pending: PendingWrite) -> list[tuple[int, _Part]]:
    order = []
    for number in range(_count(parts, content)):
        offset = number * parts.size
        order.append((number, _Part(content, offset, min(parts.size, content.size - offset))))
    random = Random(pending.chance)
    if pending.left_out:
        order.pop(random.randrange(len(order)))
    if parts.shuffled:
        random.shuffle(order)
    return order


def _of(number: int, part: _Part) -> dict[str, str]:
    end = part.offset + part.size
    facts = {"offset": part.offset, "end": end, "last": max(end - 1, 0), "length": part.size}
    facts |= {"part": number, "number": number + 1}
    return {name: str(fact) for name, fact in facts.items()}


def _goes_on(answer: Answer) -> bool:
    return 200 <= answer.status < 300 or answer.status == _RESUME


def _on_this_server(taken: str) -> str:
    """A URL without scheme and host; anything else as it stands."""
    if not taken.startswith(("http://", "https://")):
        return taken
    leads = urlsplit(taken)
    return (leads.path or "/") + (f"?{leads.query}" if leads.query else "")


def _ended(answers: list[Answer], where: str) -> Progress:
    return Progress(
        None if len(answers) == 1 else Outcome.INFO, answers, f"{where} was answered {answers[-1].status}"
    )
