"""The override under which a stack touches nothing of the user's own, over configurations as Compose resolves them."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from persistence_tests.stack.identity import Identity
from persistence_tests.stack.isolation import Isolation, isolate, with_anonymous_volumes
from persistence_tests.stack.override import Override, Reset, render
from persistence_tests.stack.spec import StackSpec
from persistence_tests.stack.verification import violations

HOME = "/home/user/shop"
IDENTITY = Identity("r1", "persistence-r1-shop", "/tmp/ws", "/tmp/ws/stack/shop")
LABELS = IDENTITY.labels


def config(project: str, services: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A configuration as Compose resolves it: names that nobody wrote are the project's."""
    resolved = {kind: copy.deepcopy(part) for kind, part in parts.items()}
    for kind in ("volumes", "networks", "secrets", "configs"):
        for key, part in resolved.get(kind, {}).items():
            part.setdefault("name", key if part.get("external") else f"{project}_{key}")
    return {"name": project, "services": copy.deepcopy(services), **resolved}


def isolated(
    services: dict[str, Any],
    *,
    active: set[str] | None = None,
    spec: StackSpec | None = None,
    taken: tuple[str, ...] = (),
    **parts: Any,
) -> Isolation:
    return isolate(
        config(IDENTITY.project, services, **parts),
        config("shadow", services, **parts),
        active=services if active is None else active,
        identity=IDENTITY,
        spec=spec or StackSpec(()),
        project_directory=HOME,
        taken_subnets=taken,
    )


def bind(source: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"type": "bind", "source": source, "target": "/data", "bind": {}} | (
        {"read_only": True} if read_only else {}
    )


def refused(isolation: Isolation) -> list[str]:
    return [refusal.where for refusal in isolation.refusals]


def test_ports_move_to_free_ones_on_the_loopback() -> None:
    ports = [
        {"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"},
        {"mode": "ingress", "target": 80, "published": "80", "protocol": "tcp"},
        {"mode": "ingress", "target": 53, "published": "53", "protocol": "udp", "host_ip": "0.0.0.0"},
    ]
    service = isolated({"web": {"ports": ports}}).override["services"]["web"]
    assert service["ports"] == Override(
        [
            {"target": 80, "protocol": "tcp", "host_ip": "127.0.0.1"},
            {"target": 53, "protocol": "udp", "host_ip": "127.0.0.1"},
        ]
    )


def test_a_service_that_is_left_out_is_not_refused_and_not_waited_for() -> None:
    socket = "/var/run/docker.sock"
    services = {
        "proxy": {"volumes": [bind(socket)], "privileged": True},
        "app": {
            "depends_on": {"proxy": {"condition": "service_started"}, "db": {"condition": "service_healthy"}}
        },
        "web": {"depends_on": {"proxy": {"condition": "service_started"}}},
        "db": {"depends_on": {}},
    }
    assert len(isolated(services).refusals) == 2
    found = isolated(services, spec=StackSpec((), without=frozenset({"proxy"})))
    assert found.refusals == () and found.binds == ()
    assert found.override["services"]["proxy"] == Reset()
    assert found.override["services"]["app"]["depends_on"] == {"proxy": Reset()}
    assert found.override["services"]["web"]["depends_on"] == {"proxy": Reset()}
    assert "depends_on" not in found.override["services"]["db"]
    assert found.changes == ("proxy: left out, because the scenario says so",)


def test_a_container_name_becomes_an_alias_on_every_network() -> None:
    services = {
        "web": {"container_name": "shop-web", "networks": {"default": None, "back": {"aliases": ["w"]}}}
    }
    service = isolated(services, networks={"default": {}, "back": {}}).override["services"]["web"]
    assert service["container_name"] == Reset()
    assert service["networks"] == {"default": {"aliases": ["shop-web"]}, "back": {"aliases": ["shop-web"]}}


def test_a_container_name_that_follows_the_project_stays() -> None:
    def named(project: str) -> dict[str, Any]:
        return config(project, {"web": {"container_name": f"{project}-web"}})

    isolation = isolate(
        named(IDENTITY.project),
        named("shadow"),
        active=["web"],
        identity=IDENTITY,
        spec=StackSpec(()),
        project_directory=HOME,
    )
    assert "container_name" not in isolation.override["services"]["web"]
    assert isolation.changes == ()


@pytest.mark.parametrize("kind", ["volumes", "networks"])
def test_explicit_and_external_names_move_under_the_prefix_and_stay_what_they_were(kind: str) -> None:
    parts: dict[str, Any] = {
        kind: {"own": {}, "fixed": {"name": "fixed"}, "theirs": {"name": "theirs", "external": True}}
    }
    isolation = isolated({"web": {}}, **parts)
    assert isolation.override[kind] == {
        "own": {"labels": LABELS},
        "fixed": {"labels": LABELS, "name": "persistence-r1-shop-fixed"},
        "theirs": {"name": "persistence-r1-shop-theirs", "external": True},
    }
    made = isolation.external_volumes if kind == "volumes" else isolation.external_networks
    assert made == ("persistence-r1-shop-theirs",)


def test_an_explicit_name_never_meets_one_of_compose() -> None:
    parts: dict[str, Any] = {"volumes": {"data": {}, "other": {"name": "data"}}}
    volumes = isolated({"web": {}}, **parts).override["volumes"]
    assert volumes["other"]["name"] != f"{IDENTITY.project}_data"


def test_a_relative_bind_lands_in_the_workspace_and_is_relative_still() -> None:
    isolation = isolated({"web": {"volumes": [bind(f"{HOME}/media"), bind(HOME, read_only=True)]}})
    mounts = isolation.override["services"]["web"]["volumes"].value
    assert [mount["source"] for mount in mounts] == ["./media", "."]
    assert [(b.inside, b.writable) for b in isolation.binds] == [("./media", True), (".", False)]


@pytest.mark.parametrize(
    "source", ["/srv/media", "/home/user/shop-data", "/home/user", "/", "/home/user/other/../x"]
)
def test_a_bind_outside_the_project_directory_is_refused(source: str) -> None:
    assert refused(isolated({"web": {"volumes": [bind(source)]}})) == ["services.web.volumes"]


def test_a_replaced_bind_lands_where_the_scenario_says() -> None:
    spec = StackSpec((), binds={"/srv/media": "./media", "../x": "y"})
    services = {"web": {"volumes": [bind("/srv/media"), bind("/home/user/x")]}}
    isolation = isolated(services, spec=spec)
    assert not isolation.refusals
    assert [m["source"] for m in isolation.override["services"]["web"]["volumes"].value] == ["./media", "./y"]


def test_a_replacement_outside_is_refused_unless_it_is_read_only() -> None:
    spec = StackSpec((), binds={"/etc/localtime": "/etc/localtime", "/srv": "../../srv"})
    assert refused(isolated({"web": {"volumes": [bind("/etc/localtime")]}}, spec=spec)) == [
        "services.web.volumes"
    ]
    assert refused(isolated({"web": {"volumes": [bind("/srv")]}}, spec=spec)) == ["services.web.volumes"]
    kept = isolated({"web": {"volumes": [bind("/etc/localtime", read_only=True)]}}, spec=spec)
    assert not kept.refusals
    assert kept.binds[0].inside is None


def test_a_dollar_in_a_path_stays_one() -> None:
    isolation = isolated({"web": {"volumes": [bind(f"{HOME}/a$$b")]}})
    assert isolation.override["services"]["web"]["volumes"].value[0]["source"] == "./a$$b"
    assert isolation.binds[0].source == f"{HOME}/a$b"


@pytest.mark.parametrize(
    ("service", "where"),
    [
        ({"network_mode": "host"}, "network_mode"),
        ({"network_mode": "container:db"}, "network_mode"),
        ({"pid": "host"}, "pid"),
        ({"ipc": "host"}, "ipc"),
        ({"ipc": "container:db"}, "ipc"),
        ({"uts": "host"}, "uts"),
        ({"userns_mode": "host"}, "userns_mode"),
        ({"cgroup": "host"}, "cgroup"),
        ({"privileged": True}, "privileged"),
        ({"devices": [{"source": "/dev/sda", "target": "/dev/sda"}]}, "devices"),
        ({"device_cgroup_rules": ["b 7:* rmw"]}, "device_cgroup_rules"),
        ({"cap_add": ["sys_time"]}, "cap_add"),
        ({"cap_add": ["CAP_SYS_RAWIO"]}, "cap_add"),
        ({"external_links": ["db:db"]}, "external_links"),
        ({"volumes_from": ["container:db"]}, "volumes_from"),
        ({"provider": {"type": "cloud"}}, "provider"),
        ({"post_start": [{"command": "x", "privileged": True}]}, "post_start"),
        ({"network_mode": "somebodys_default"}, "network_mode"),
        ({"use_api_socket": True}, "use_api_socket"),
        ({"models": {"llm": None}}, "models"),
        ({"build": {"context": HOME, "privileged": True}}, "build.privileged"),
        ({"build": {"context": HOME, "entitlements": ["security.insecure"]}}, "build.privileged"),
        ({"volumes": [bind("/var/run/docker.sock", read_only=True)]}, "volumes"),
        ({"volumes": [{"type": "npipe", "source": "//./pipe/x", "target": "/x"}]}, "volumes"),
    ],
)
def test_what_reaches_the_machine_is_refused_with_a_remedy(service: dict[str, Any], where: str) -> None:
    refusals = isolated({"web": service}).refusals
    assert [refusal.where for refusal in refusals] == [f"services.web.{where}"]
    assert refusals[0].remedy


@pytest.mark.parametrize(
    ("part", "where"),
    [
        ({"volumes": {"v": {"driver": "nfs-plugin"}}}, "volumes.v.driver"),
        (
            {"volumes": {"v": {"driver_opts": {"type": "none", "o": "bind", "device": "/srv"}}}},
            "volumes.v.driver_opts.device",
        ),
        (
            {"volumes": {"v": {"driver_opts": {"type": "nfs", "device": ":/export"}}}},
            "volumes.v.driver_opts.device",
        ),
        (
            {"volumes": {"v": {"driver_opts": {"type": "tmpfs", "o": "rw, bind", "device": "/srv"}}}},
            "volumes.v.driver_opts.device",
        ),
        ({"networks": {"n": {"driver": "macvlan"}}}, "networks.n.driver"),
        ({"networks": {"n": {"name": "host", "external": True}}}, "networks.n"),
    ],
)
def test_volumes_and_networks_outside_the_engine_are_refused(part: dict[str, Any], where: str) -> None:
    assert refused(isolated({"web": {}}, **part)) == [where]


def test_everything_is_refused_at_once() -> None:
    services = {
        "a": {"privileged": True, "pid": "host"},
        "b": {"volumes": [bind("/srv"), bind("/var/run/docker.sock")]},
    }
    assert len(isolated(services, volumes={"v": {"driver": "x"}}).refusals) == 5


def test_harmless_devices_and_namespaces_pass() -> None:
    services = {
        "a": {
            "devices": [{"source": "/dev/fuse", "target": "/dev/fuse"}],
            "cap_add": ["NET_ADMIN"],
            "network_mode": "service:b",
            "volumes_from": ["b"],
        },
        "b": {"network_mode": "none"},
    }
    assert not isolated(services).refusals


def test_a_filesystem_in_memory_is_the_runs_own() -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    isolation = isolated({"web": {}}, volumes={"v": {"driver_opts": options}})
    assert not isolation.refusals
    assert "driver_opts" not in isolation.override["volumes"]["v"]


def test_a_container_that_runs_before_the_service_is_isolated_like_it() -> None:
    step = {
        "command": ["init"],
        "image": "shop:1",
        "volumes": [bind(f"{HOME}/media")],
        "pull_policy": "always",
    }
    services = {"web": {"image": "shop:1", "build": {"context": HOME}, "pre_start": [step]}}
    (mine,) = isolated(services).override["services"]["web"]["pre_start"].value
    assert mine["labels"] == LABELS
    assert mine["image"] == "persistence-r1-shop/shop:1"
    assert [mount["source"] for mount in mine["volumes"]] == ["./media"]
    assert mine["pull_policy"] == "missing"
    outside = {"web": {"pre_start": [{"command": ["x"], "privileged": True, "volumes": [bind("/srv")]}]}}
    assert refused(isolated(outside)) == ["services.web.pre_start 1.privileged", "services.web.volumes"]


def test_the_name_of_the_runs_own_service_is_not_for_the_stack() -> None:
    assert refused(isolated({"persistence-control": {}})) == ["services.persistence-control"]


def test_jobs_are_left_out() -> None:
    isolation = isolated({"web": {}}, jobs={"tidy": {"image": "x", "privileged": True}})
    assert isolation.override["jobs"] == {"tidy": Reset()}
    assert "job tidy: left out, because only services run" in isolation.changes


@pytest.mark.parametrize("policy", ["always", "daily", "weekly", "every_12h", "refresh"])
def test_a_tag_of_the_users_is_not_fetched_again(policy: str) -> None:
    web = isolated({"web": {"image": "shop:1", "pull_policy": policy}}).override["services"]["web"]
    assert web["pull_policy"] == "missing"


def test_what_other_programs_on_the_engine_read_is_not_said() -> None:
    labels = {
        "traefik.http.routers.x.rule": "Host(`a`)",
        "com.centurylinklabs.watchtower.enable": "true",
        "role": "api",
    }
    service = {"labels": labels, "label_file": ["l"], "logging": {"driver": "gelf"}}
    web = isolated({"web": service}).override["services"]["web"]
    assert web["labels"] == Override({"role": "api", **LABELS})
    assert (web["label_file"], web["logging"]) == (Reset(), Reset())
    plain = isolated({"web": {"labels": {"role": "api"}, "logging": {"driver": "local"}}}).override[
        "services"
    ]["web"]
    assert plain == {"labels": LABELS}


def test_host_names_stay_where_they_lead_to_the_stack_itself() -> None:
    hosts = ["me=127.0.0.1", "machine=host-gateway", "db=10.0.0.5", "peer=172.30.0.7", "six=[::1]"]
    services = {
        "web": {"extra_hosts": hosts, "build": {"context": HOME, "extra_hosts": ["machine=host-gateway"]}}
    }
    networks = {"n": {"ipam": {"config": [{"subnet": "172.30.0.0/16"}]}}}
    web = isolated(services, networks=networks).override["services"]["web"]
    assert web["extra_hosts"] == Override(["me=127.0.0.1", "peer=172.30.0.7", "six=[::1]"])
    assert web["build"]["extra_hosts"] == Reset()


def test_a_build_has_a_network_of_its_own_and_moves_no_tag() -> None:
    build = {"context": HOME, "network": "host", "pull": True, "entitlements": ["network.host"]}
    out = isolated({"web": {"build": build}}).override["services"]["web"]["build"]
    assert (out["network"], out["pull"], out["entitlements"]) == (Reset(), Reset(), Reset())


def test_an_engines_socket_is_refused_read_only_too_whatever_the_scenario_says() -> None:
    spec = StackSpec((), binds={"/run/docker.sock": "/run/docker.sock"})
    assert refused(isolated({"web": {"volumes": [bind("/run/docker.sock", read_only=True)]}}, spec=spec)) == [
        "services.web.volumes"
    ]


def test_an_absolute_path_is_replaced_by_no_other_absolute_path() -> None:
    spec = StackSpec((), binds={"/srv/a": "/srv/b"})
    assert refused(isolated({"web": {"volumes": [bind("/srv/a", read_only=True)]}}, spec=spec)) == [
        "services.web.volumes"
    ]


def test_what_cannot_do_without_a_service_that_is_left_out_is_left_out_too() -> None:
    services = {
        "web": {"depends_on": {"debug": {"required": False}, "db": {"required": True}}},
        "db": {},
        "debug": {"profiles": ["d"], "privileged": True},
        "tail": {"profiles": ["d"], "depends_on": {"debug": {"required": True}}},
        "end": {"profiles": ["d"], "network_mode": "service:tail"},
    }
    override = isolated(services, active={"web", "db"}).override["services"]
    assert [name for name, part in override.items() if part == Reset()] == ["debug", "tail", "end"]
    assert override["web"]["depends_on"] == {"debug": Reset()}


def test_a_service_that_does_not_run_is_left_out_instead_of_refused() -> None:
    services = {"web": {}, "debug": {"profiles": ["debug"], "privileged": True}}
    isolation = isolated(services, active={"web"})
    assert not isolation.refusals
    assert isolation.override["services"]["debug"] == Reset()
    assert any(change.startswith("debug: left out") for change in isolation.changes)


def test_a_tag_that_the_stack_builds_is_never_the_users_and_its_users_follow() -> None:
    services = {
        "web": {"image": "localhost:5000/shop/web:1", "build": {"context": HOME, "tags": ["shop:latest"]}},
        "worker": {"image": "localhost:5000/shop/web:1"},
        "db": {"image": "postgres:16"},
    }
    override = isolated(services).override["services"]
    assert (
        override["web"]["image"]
        == override["worker"]["image"]
        == "persistence-r1-shop/localhost-5000/shop/web:1"
    )
    assert override["web"]["build"] == {"labels": LABELS, "tags": Reset()}
    assert "image" not in override["db"]


def test_a_build_context_outside_is_read_where_it_is() -> None:
    services = {
        "web": {
            "build": {"context": "/home/user/common", "dockerfile": "Dockerfile", "cache_to": ["type=local"]}
        }
    }
    build = isolated(services).override["services"]["web"]["build"]
    assert build["context"] == "/home/user/common"
    assert build["cache_to"] == Reset()


def test_secrets_from_outside_are_copied() -> None:
    isolation = isolated(
        {"web": {}}, secrets={"key": {"file": "/home/user/.key"}, "own": {"file": f"{HOME}/key"}}
    )
    assert isolation.files == {"/home/user/.key": "/tmp/ws/files/secrets-key"}
    assert isolation.override["secrets"] == {"key": {"file": "/tmp/ws/files/secrets-key"}}


def test_configurations_without_a_file_pass() -> None:
    configs = {"c": {"name": f"{IDENTITY.project}_c", "content": "x"}, "e": {"environment": "X"}}
    assert violations({"name": IDENTITY.project, "configs": configs}, IDENTITY) == []


def test_a_subnet_in_use_becomes_a_free_one_unless_addresses_are_fixed() -> None:
    networks = {"n": {"ipam": {"config": [{"subnet": "172.28.0.0/16"}]}}}
    isolation = isolated({"web": {"networks": {"n": None}}}, networks=networks, taken=("172.28.5.0/24",))
    assert isolation.override["networks"]["n"]["ipam"] == Reset()
    fixed = isolated(
        {"web": {"networks": {"n": {"ipv4_address": "172.28.0.5"}}}},
        networks=networks,
        taken=("172.28.5.0/24",),
    )
    assert refused(fixed) == ["networks.n.ipam"]
    apart = isolated({"web": {}}, networks=networks, taken=("10.0.0.0/8", "fd00::/8"))
    assert "ipam" not in apart.override["networks"]["n"]


def test_anonymous_volumes_are_labelled_those_of_images_too() -> None:
    services = {"db": {"volumes": [{"type": "volume", "target": "/a", "volume": {"nocopy": True}}]}}
    isolation = isolated(services)
    mounts = isolation.override["services"]["db"]["volumes"].value
    assert mounts == [{"type": "volume", "target": "/a", "volume": {"nocopy": True, "labels": LABELS}}]
    resolved = config(IDENTITY.project, {"db": {"volumes": mounts, "tmpfs": ["/tmp:size=1m"]}})
    override, changes = with_anonymous_volumes(
        isolation.override, resolved, {"db": ["/a/", "/b", "/tmp"]}, IDENTITY
    )
    assert [m["target"] for m in override["services"]["db"]["volumes"].value] == ["/a", "/b"]
    assert len(changes) == 1


def test_the_override_is_written_as_compose_reads_it() -> None:
    from ruamel.yaml import YAML

    document = {"services": {"a: b": {"x": Reset(), "y": Override(["'\"\n"]), "z": {}}}}
    text = render(document)
    assert "!reset null" in text
    assert YAML().load(text)["services"]["a: b"]["y"] == ["'\"\n"]
