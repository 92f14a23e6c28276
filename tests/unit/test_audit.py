"""Each rule: a case that it explains, and the nearest ones that it must not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from persistence_tests.audit.case import Case
from persistence_tests.audit.configuration import Backing, Configuration
from persistence_tests.audit.diagnosis import RULES, diagnose
from persistence_tests.model.finding import Finding, Symptom
from persistence_tests.model.records import DataFate

NAMED = {"type": "volume", "source": "media", "target": "/srv/media"}
NAMES = ("admin/first", "blog/logo.png")
EVERYWHERE = ("volume", "direct", "api", "proxy")


def configuration(
    *volumes: dict[str, Any], mounts: list[dict[str, str]] | None = None, **more: Any
) -> Configuration:
    service = {"build": {"context": "."}, "volumes": list(volumes), **more}
    return Configuration({"services": {"api": service}, "volumes": {"media": {}}}, {"api": mounts or []})


def finding(
    symptom: Symptom, event: str, *, names: tuple[str, ...] = NAMES, paths: tuple[str, ...] = EVERYWHERE
) -> Finding:
    return Finding(symptom, event, event, paths, names, ())


def case(symptom: Symptom, event: str, *volumes: dict[str, Any], **details: Any) -> Case:
    made = finding(symptom, event, **{key: details.pop(key) for key in ("names", "paths") if key in details})
    facts: dict[str, Any] = {
        "configuration": configuration(*volumes),
        "service": "api",
        "root": "/srv/media",
        "stored": frozenset({"volume", "direct"}),
        "seen_before": frozenset(made.names),
    }
    return Case(made, **(facts | details))


TMPFS = case(Symptom.MISSING, "restart", {"type": "tmpfs", "target": "/srv/media"})
LAYER = case(Symptom.MISSING, "recreate")
ELSEWHERE = case(Symptom.MISSING, "down-up", NAMED | {"target": "/media"})
ANONYMOUS = case(
    Symptom.ORPHANED, "down-up", {"type": "volume", "target": "/srv/media"}, found_on=("3f2a", "77b1")
)
RESTORED = case(
    Symptom.MISSING,
    "backup-restore",
    NAMED,
    fate=DataFate.RESTORED,
    names=("blog/logo.png",),
    intact=frozenset({"admin"}),
)
MERGED = case(Symptom.RESURRECTED, "backup-restore", NAMED, fate=DataFate.RESTORED)
APART = case(Symptom.DANGLING, "backup-restore", NAMED, fate=DataFate.RESTORED, paths=("database",))
EARLY = case(Symptom.MISSING, "kill", NAMED, seen_before=frozenset(), intact=frozenset({"admin", "blog"}))
WIPED = case(Symptom.MISSING, "restart", NAMED)
CUT = case(Symptom.MISSING, "power-loss", NAMED)
NAMED_ONLY = case(Symptom.EMPTY, "power-loss", NAMED)
BLIND = case(Symptom.MASKED, "restart", NAMED, paths=("proxy",), shows_absence={"proxy": False, "api": True})
UNSERVED = case(
    Symptom.UNSERVED, "restart", NAMED, paths=("proxy",), serving=("api",), statuses=frozenset({404})
)

REMOVED = case(Symptom.MISSING, "deploy", NAMED, remade=frozenset({"api"}), destroyed=frozenset({"media"}))
RENAMED = case(Symptom.ORPHANED, "rename-project", NAMED, found_on=("shop_media",))
EDITED = case(
    Symptom.ORPHANED,
    "up-changed",
    NAMED,
    former=configuration(NAMED | {"source": "old"}),
    found_on=("shop_old",),
    remade=frozenset({"api"}),
)
NAMED_OTHERWISE = Configuration(
    {"services": {"api": {"volumes": [NAMED]}}, "volumes": {"media": {"name": "other"}}}, {}
)

EXPLAINED = {
    "tmpfs": [
        TMPFS,
        dataclasses.replace(TMPFS, configuration=configuration(tmpfs="/srv:size=1m")),
        dataclasses.replace(TMPFS, finding=finding(Symptom.MISSING, "deploy"), remade=frozenset({"api"})),
        dataclasses.replace(
            WIPED,
            configuration=Configuration(
                {
                    "services": {"api": {"volumes": [NAMED]}},
                    "volumes": {"media": {"driver_opts": {"type": "tmpfs", "device": "tmpfs"}}},
                },
                {},
            ),
        ),
    ],
    "mount-elsewhere": [ELSEWHERE],
    "no-volume": [
        LAYER,
        dataclasses.replace(LAYER, finding=finding(Symptom.DANGLING, "recreate", paths=("database",))),
        # A volume that was never meant for these files is not "mounted elsewhere".
        dataclasses.replace(
            LAYER, configuration=configuration(NAMED | {"source": "cache", "target": "/var/cache"})
        ),
        # The record says whose container was made anew: then any event can have done it.
        dataclasses.replace(LAYER, finding=finding(Symptom.MISSING, "deploy"), remade=frozenset({"api"})),
        dataclasses.replace(LAYER, finding=finding(Symptom.MISSING, "rename-project")),
        # A volume below the root does not hold what lies beside it.
        dataclasses.replace(LAYER, configuration=configuration(NAMED | {"target": "/srv/media/other"})),
    ],
    "anonymous-volume": [
        ANONYMOUS,
        dataclasses.replace(ANONYMOUS, finding=finding(Symptom.ORPHANED, "rename-project")),
        # From the image's VOLUME: only the engine knows of it.
        dataclasses.replace(
            ANONYMOUS,
            configuration=configuration(
                mounts=[{"kind": "volume", "source": "3f2a", "target": "/srv/media"}]
            ),
        ),
    ],
    "volume-removed": [
        REMOVED,
        dataclasses.replace(REMOVED, finding=finding(Symptom.MISSING, "up-changed")),
        dataclasses.replace(REMOVED, finding=finding(Symptom.MISSING, "run-once")),
        # No direct path is declared: the volume's own path has shown it.
        dataclasses.replace(REMOVED, service=None, root=None, volume="media"),
    ],
    "project-volume": [
        RENAMED,
        dataclasses.replace(RENAMED, service=None, root=None, volume="media"),
    ],
    "other-volume": [
        EDITED,
        dataclasses.replace(
            EDITED, finding=finding(Symptom.MISSING, "up-changed", paths=("direct",)), found_on=()
        ),
        dataclasses.replace(EDITED, configuration=configuration()),
        dataclasses.replace(EDITED, configuration=configuration(tmpfs="/srv/media")),
        dataclasses.replace(EDITED, configuration=NAMED_OTHERWISE, former=configuration(NAMED)),
    ],
    "incomplete-restore": [RESTORED],
    "restored-apart": [
        APART,
        dataclasses.replace(APART, intact=frozenset()),
        dataclasses.replace(
            APART, finding=finding(Symptom.UNREFERENCED, "volume-recreate", paths=("database",))
        ),
    ],
    "merging-restore": [MERGED],
    "acknowledged-too-early": [
        EARLY,
        dataclasses.replace(EARLY, finding=finding(Symptom.TRUNCATED, "crash")),
    ],
    "never-synced": [
        CUT,
        dataclasses.replace(CUT, finding=finding(Symptom.STALE, "power-loss")),
        dataclasses.replace(CUT, finding=finding(Symptom.RESURRECTED, "host-power-loss")),
        dataclasses.replace(CUT, service=None, root=None, volume="media"),
    ],
    "name-before-bytes": [
        NAMED_ONLY,
        dataclasses.replace(NAMED_ONLY, finding=finding(Symptom.ZEROED, "host-power-loss")),
        dataclasses.replace(NAMED_ONLY, finding=finding(Symptom.TORN, "disk-error")),
    ],
    "wiped-at-start": [
        WIPED,
        # One directory only: everything in it is gone, what is beside it is not.
        dataclasses.replace(WIPED, intact=frozenset({"uploads"})),
        dataclasses.replace(
            WIPED, configuration=configuration({"type": "bind", "source": "./m", "target": "/srv/media"})
        ),
        # No direct path is declared: the volume's own path has shown it.
        dataclasses.replace(WIPED, service=None, root=None, volume="media"),
        # While writing: what was never seen is gone with the rest.
        dataclasses.replace(WIPED, finding=finding(Symptom.MISSING, "kill", names=(*NAMES, "admin/live"))),
    ],
    "answers-for-everything": [BLIND],
    "not-served": [
        UNSERVED,
        dataclasses.replace(UNSERVED, statuses=frozenset({502, 504})),
        dataclasses.replace(UNSERVED, statuses=frozenset({403})),
    ],
}

UNEXPLAINED = {
    "rows and files part without a restore too": dataclasses.replace(APART, fate=DataFate.KEPT),
    "a layer survives a restart: something else removed the files": case(Symptom.MISSING, "restart"),
    "a tmpfs survives what does not touch its service": dataclasses.replace(TMPFS, touched=frozenset({"proxy"})),
    "a tmpfs survives a pause": dataclasses.replace(TMPFS, finding=finding(Symptom.MISSING, "pause")),
    "the container was not made anew: its image is not built": dataclasses.replace(
        LAYER,
        finding=finding(Symptom.MISSING, "rebuild"),
        configuration=Configuration({"services": {"api": {"image": "cms"}}}, {}),
    ),
    "no direct path is declared": dataclasses.replace(LAYER, service=None, root=None),
    "names of two kinds of storage": dataclasses.replace(
        LAYER, configuration=configuration(NAMED | {"target": "/srv/media/blog"})
    ),
    "an anonymous volume survives recreate": dataclasses.replace(
        ANONYMOUS, finding=finding(Symptom.MISSING, "recreate"), found_on=()
    ),
    "the deploy removed another volume": dataclasses.replace(REMOVED, destroyed=frozenset({"cache"})),
    "the deploy removed a volume that held something else": dataclasses.replace(
        REMOVED, configuration=configuration({"type": "bind", "source": "./m", "target": "/srv/media"})
    ),
    "the deploy removed a volume and had to put back what it held": dataclasses.replace(
        REMOVED, fate=DataFate.RESTORED, intact=frozenset()
    ),
    "a deploy may itself have removed files of a volume that stayed": dataclasses.replace(
        REMOVED, destroyed=frozenset()
    ),
    "missing after the project was renamed, and on no other volume": dataclasses.replace(
        RENAMED, finding=finding(Symptom.CORRUPTED, "rename-project")
    ),
    "edited, and the mount is as it was": dataclasses.replace(EDITED, former=configuration(NAMED)),
    "the record says that the container stayed": dataclasses.replace(
        LAYER, finding=finding(Symptom.MISSING, "up-changed"), remade=frozenset({"proxy"})
    ),
    "a named volume left behind is not an anonymous one": case(Symptom.ORPHANED, "down-up", NAMED, found_on=("old",)),
    "nothing at all is back: restored elsewhere, or wiped again": dataclasses.replace(RESTORED, intact=frozenset()),
    "some of the directory is back": dataclasses.replace(RESTORED, intact=frozenset({"admin", "blog"})),
    "a volume made anew cannot be merged into": dataclasses.replace(
        MERGED, finding=finding(Symptom.RESURRECTED, "volume-recreate")
    ),
    "back after a plain restart": case(Symptom.RESURRECTED, "restart", NAMED),
    "it was on the disk before the kill, and what is beside it still is": case(
        Symptom.MISSING, "kill", NAMED, intact=frozenset({"admin", "blog"})
    ),
    "never seen before, and nothing is left: nobody knows why": dataclasses.replace(EARLY, intact=frozenset()),
    "the process was asked to stop": dataclasses.replace(EARLY, finding=finding(Symptom.MISSING, "restart")),
    "wiped, but another service was restarted": dataclasses.replace(WIPED, touched=frozenset({"proxy"})),
    "wiped by an event that must destroy": dataclasses.replace(WIPED, fate=DataFate.DESTROYED),
    "gone where it is served": dataclasses.replace(WIPED, finding=finding(Symptom.MISSING, "restart", paths=("api",))),
    "damaged, not gone": dataclasses.replace(WIPED, finding=finding(Symptom.CORRUPTED, "restart")),
    "the power went, and it is gone where it is served only": dataclasses.replace(
        CUT, finding=finding(Symptom.MISSING, "power-loss", paths=("api",))
    ),
    "no power loss leaves another file's bytes": dataclasses.replace(
        CUT, finding=finding(Symptom.FOREIGN, "power-loss")
    ),
    "before any event": dataclasses.replace(WIPED, finding=finding(Symptom.MISSING, "up")),
    "masked by a path that can say no": dataclasses.replace(BLIND, shows_absence={"proxy": True}),
    "masked on a second path that can say no": dataclasses.replace(
        BLIND, finding=finding(Symptom.MASKED, "restart", paths=("api", "proxy"))
    ),
    "no answer at all": dataclasses.replace(UNSERVED, statuses=frozenset({None})),
    "an error of the application": dataclasses.replace(UNSERVED, statuses=frozenset({500})),
    "answers of several kinds": dataclasses.replace(UNSERVED, statuses=frozenset({404, 502})),
    "a mode that changed": case(Symptom.METADATA, "restart", NAMED),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_explains_its_cases(rule: str) -> None:
    assert EXPLAINED[rule]
    for each in EXPLAINED[rule]:
        found = diagnose(each)
        assert found is not None, each
        assert found.rule == rule, found
        assert found.cause and found.fix


@pytest.mark.parametrize("why", UNEXPLAINED)
def test_a_cause_that_nothing_supports_is_not_named(why: str) -> None:
    assert diagnose(UNEXPLAINED[why]) is None


def test_fixes_name_the_stacks_own_volumes() -> None:
    elsewhere, nowhere, anonymous = diagnose(ELSEWHERE), diagnose(LAYER), diagnose(ANONYMOUS)
    assert elsewhere is not None and nowhere is not None and anonymous is not None
    assert elsewhere.fix == 'mount it where the service writes: `volumes: ["media:/srv/media"]`'
    assert nowhere.fix == 'mount a named volume: `services.api.volumes: ["media:/srv/media"]`'
    assert anonymous.fix == 'give the volume a name: `services.api.volumes: ["media:/srv/media"]`'
    assert anonymous.cause.endswith("the bytes are still on volume 3f2a")


def test_a_fix_makes_up_a_name_that_is_not_taken() -> None:
    taken = {"services": {"api": {}, "db": {"volumes": [NAMED]}}, "volumes": {"media": {}}}
    assert (
        dataclasses.replace(LAYER, configuration=Configuration(taken, {})).key_for_new_volume()
        == "media_files"
    )
    nothing = Configuration({"services": {"api": {}}}, {})
    for root, name in (("/data/My-Files", "my_files"), ("/d", "d_files"), ("/", "files")):
        assert dataclasses.replace(LAYER, configuration=nothing, root=root).key_for_new_volume() == name
    found = diagnose(dataclasses.replace(LAYER, configuration=nothing))
    assert found is not None
    assert found.fix.endswith("and `volumes: {media: {}}`")


def test_a_wipe_of_one_directory_says_which() -> None:
    found = diagnose(dataclasses.replace(WIPED, intact=frozenset({"uploads"})))
    assert found is not None
    assert "everything in `admin`, `blog` is gone" in found.cause


@pytest.mark.parametrize(
    ("directory", "backing"),
    [
        ("/srv/media", Backing.NAMED),
        ("/srv/media/deep/er", Backing.NAMED),
        ("/srv/media/tmp", Backing.TMPFS),
        ("/srv/mediax", Backing.LAYER),
        ("/srv", Backing.LAYER),
        ("/etc/app", Backing.BIND),
        ("/declared/below", Backing.ANONYMOUS),
    ],
)
def test_the_innermost_mount_counts(directory: str, backing: Backing) -> None:
    recorded = configuration(
        NAMED,
        {"type": "bind", "source": "/x", "target": "/etc/app/"},
        mounts=[
            {"kind": "volume", "source": "9c", "target": "/declared"},
            {"kind": "volume", "source": "p_media", "target": "/srv/media"},
        ],
        tmpfs=["/srv/media/tmp:size=1m"],
    )
    assert recorded.backing("api", directory) is backing


def test_what_is_not_recorded_is_no_error() -> None:
    nothing = Configuration({}, {})
    assert nothing.mount_of("api", "/srv") is None
    assert (nothing.volume_keys(), nothing.keys_in_use(), nothing.is_built("api")) == ([], set(), False)
