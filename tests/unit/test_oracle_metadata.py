"""Symbolic links, hard links, modes and attributes: each kept, each lost, and each where it cannot be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from persistence_tests.model.finding import StepJudgement, Symptom, Verdict
from persistence_tests.model.ledger import Ledger
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.operation import Also, OperationKind, Outcome
from persistence_tests.model.records import DataFate, PathObserved, Phase, ScenarioBegan
from tests.unit.oracle_histories import Play

LINK = Observation(NodeKind.SYMLINK, mode="0777", owner="0:0", target="file")
MARKS_AND_LINKS = (Also.SYMLINKS, Also.HARD_LINKS, Also.MODES, Also.XATTRS)
STORED, SERVED = ("volume", "direct"), ("api", "proxy")


def judged(
    after: Mapping[str, Observation | None],
    *,
    before: Mapping[str, Observation | None] | None = None,
    also: tuple[Also, ...] = MARKS_AND_LINKS,
    sees_xattrs: tuple[str, ...] = ("direct",),
    outcome: Outcome = Outcome.OK,
) -> StepJudgement:
    """A step with a file, a symbolic link and another name of it, and a file with mode and attribute.

    `after` says what stored paths show after the event, other than what was written; None is what was written.
    """
    play = Play().opened()
    play.begin_step("restart")
    play.write("file", 2)
    play.invoke(replace(play.operation(OperationKind.SYMLINK, "soft"), link="file"), outcome)
    play.invoke(replace(play.operation(OperationKind.LINK, "hard"), link="file"), outcome)
    play.disk["hard"] = play.disk["file"]
    marked = replace(play.operation(OperationKind.CREATE, "marked", 2), mode="0604", xattr="beef")
    play.invoke(marked, outcome)
    play.disk["marked"] = play.tiles(marked.identity)

    def look(changed: Mapping[str, Observation | None]) -> None:
        own = play.content(play.disk["file"])
        kept = {
            "soft": LINK,
            "file": replace(own, shared="file"),
            "hard": replace(own, shared="file"),
            "marked": replace(play.content(play.disk["marked"]), mode="0604"),
        }
        kept |= {name: seen for name, seen in changed.items() if seen is not None}
        stored = {path: dict(kept) for path in STORED}
        for path in sees_xattrs:
            stored[path] = {
                name: replace(seen, xattrs=("user.persistence=beef",) if name == "marked" else ())
                if seen.kind is NodeKind.FILE and seen.xattrs is None else seen
                for name, seen in stored[path].items()
            }  # fmt: skip
        page = replace(own, mode=None, owner=None, status=200)
        play.observe(stored | {path: {"soft": page} for path in SERVED})

    look(before or {})
    play.event()
    look(after)
    play.end_step()
    play.records = [
        replace(r, rules=(replace(r.rules[0], also=also),)) if isinstance(r, ScenarioBegan) else r
        for r in play.records
    ]
    return play.judgement()


def file_of(name: str, **facts: object) -> Observation:
    """What the file shows, with other facts. The operations' numbers are those of `judged`."""
    play = Play().opened()
    play.begin_step("restart")
    play.write("file", 2)
    for _ in range(2):
        play.operation(OperationKind.LINK, "")
    marked = play.operation(OperationKind.CREATE, "marked", 2)
    play.disk["marked"] = play.tiles(marked.identity)
    seen = play.content(play.disk[name])
    return replace(seen, **facts)  # type: ignore[arg-type]


def test_all_of_it_kept_is_kept_and_says_where_attributes_cannot_be_seen() -> None:
    judgement = judged({})
    assert (judgement.verdict, judgement.findings) == (Verdict.KEPT, ())
    assert judgement.reasons == ("extended attributes cannot be seen on volume",)


@pytest.mark.parametrize(
    ("after", "symptom", "told"),
    [
        ({"soft": ABSENT}, Symptom.MISSING, "soft: acknowledged (a symbolic link to file), absent"),
        (
            {"soft": replace(LINK, target="fil")},
            Symptom.METADATA,
            "a symbolic link to file), a symbolic link to fil",
        ),
        ({"soft": file_of("file", mode="0777")}, Symptom.METADATA, "a symbolic link to file), 128 bytes"),
        (
            {"hard": file_of("file"), "file": file_of("file")},
            Symptom.METADATA,
            "was another name of file, is a file",
        ),
        ({"hard": file_of("file", shared="x")}, Symptom.METADATA, "was another name of file"),
        ({"soft": replace(LINK, owner="1000:1000")}, Symptom.METADATA, "soft: owner was 0:0, is 1000:1000"),
        ({"marked": file_of("marked", mode="0644")}, Symptom.METADATA, "mode was 0604, is 0644"),
        (
            {"marked": file_of("marked", mode="0604", owner="0:0")},
            Symptom.METADATA,
            "owner was 1000:1000, is 0:0",
        ),
    ],
    ids=[
        "link gone",
        "link elsewhere",
        "link followed",
        "links parted",
        "another file's",
        "owner of a link",
        "mode",
        "owner",
    ],
)
def test_what_is_lost_is_named(after: dict[str, Observation], symptom: Symptom, told: str) -> None:
    judgement = judged(after)
    assert judgement.verdict is Verdict.LOST
    [finding] = judgement.findings
    assert (finding.symptom, finding.paths) == (symptom, STORED)
    assert told in finding.evidence[0], finding.evidence


def test_no_answer_of_a_server_about_a_symbolic_link_is_waited_for() -> None:
    play = Play().opened()
    play.begin_step("restart")
    play.invoke(replace(play.operation(OperationKind.SYMLINK, "soft"), link="file"), Outcome.OK)
    ledger = Ledger()
    for record in play.records:
        ledger.record(record)
    for seen in (ABSENT, replace(file_of("file"), status=200), Observation(NodeKind.ERROR, status=403)):
        assert ledger.allows("soft", seen, stored=False)
        assert not ledger.allows("soft", seen, stored=True)
    assert ledger.allows("soft", LINK, stored=True)


def test_attributes_are_lost_where_they_can_be_seen() -> None:
    bare = file_of("marked", mode="0604", xattrs=())
    judgement = judged({"marked": bare}, sees_xattrs=("direct", "volume"))
    [finding] = judgement.findings
    assert finding.symptom is Symptom.METADATA
    assert "attributes were user.persistence=beef, are none" in finding.evidence[0]
    more = ("user.persistence=beef", "user.scanned=01")
    assert judged({"marked": file_of("marked", mode="0604", xattrs=more)}).verdict is Verdict.KEPT


def test_attributes_that_no_path_can_see_are_neither_kept_nor_lost() -> None:
    judgement = judged({}, sees_xattrs=())
    assert (judgement.verdict, judgement.findings) == (Verdict.INCONCLUSIVE, ())
    assert any(reason.startswith("the xattrs of the files of rule 0") for reason in judgement.reasons)
    assert judged({}, sees_xattrs=(), also=(Also.MODES,)).verdict is Verdict.KEPT


def test_sparse_files_that_were_never_seen_are_neither_kept_nor_lost() -> None:
    judgement = judged({}, also=(Also.SPARSE,))
    assert (judgement.verdict, judgement.findings) == (Verdict.INCONCLUSIVE, ())
    assert any(reason.startswith("the sparse files of rule 0") for reason in judgement.reasons)


def test_what_was_not_acknowledged_may_be_otherwise() -> None:
    bare = file_of("marked")
    loose = {"soft": ABSENT, "hard": file_of("file"), "file": file_of("file"), "marked": bare}
    judgement = judged(loose, before=loose, also=(), outcome=Outcome.INFO)
    assert (judgement.verdict, judgement.findings) == (Verdict.KEPT, ())


def test_what_never_took_hold_is_wrong_before_the_event() -> None:
    judgement = judged({}, before={"marked": file_of("marked", mode="0644")})
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert any("wrong before the event already" in reason for reason in judgement.reasons)


def test_an_event_that_destroys_leaves_nothing_to_compare() -> None:
    play = Play().opened()
    play.begin_step("restart", fate=DataFate.DESTROYED)
    play.write("file", 2)
    play.invoke(replace(play.operation(OperationKind.LINK, "hard"), link="file"), Outcome.OK)
    play.disk["hard"] = play.disk["file"]
    shared = replace(play.content(play.disk["file"]), shared="file")
    play.observe({path: {"file": shared, "hard": shared} for path in STORED})
    play.event()
    play.disk.clear()
    play.observe()
    play.end_step()
    assert play.judgement().verdict is Verdict.KEPT
    assert any(isinstance(r, PathObserved) and r.phase is Phase.AFTER for r in play.records)
