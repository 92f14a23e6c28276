"""What a stack may not do where it shares an engine with the user's own data: pure rules over one service."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from persistence_tests.errors import StackRefused

HARMLESS_DEVICES = {
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/fuse", "/dev/net/tun",
}  # fmt: skip
HOST_CAPABILITIES = {"ALL", "SYS_MODULE", "SYS_RAWIO", "SYS_BOOT", "SYS_TIME"}
OWN_NETWORK_MODES = ("", "none", "bridge", "default", "host")  # "host" is refused by its own rule
BIND_OPTIONS = {"bind", "rbind", "move", "remount"}
HOST_NAMESPACES = ("pid", "ipc", "uts", "userns_mode", "cgroup")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that cannot be isolated: where in the Compose file, what, and what the user can do."""

    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n      help: {self.remedy}"


def refuse(refusals: list[Refusal], file: str) -> StackRefused:
    """One error that names every refusal."""
    if len(refusals) == 1:
        only = refusals[0]
        return StackRefused(f"{only.where}: {only.what}", where=file, remedy=only.remedy)
    listed = "\n".join(f"  {number}. {refusal}" for number, refusal in enumerate(refusals, 1))
    return StackRefused(
        f"the stack reaches the user's own data or machine in {len(refusals)} places:\n{listed}", where=file
    )


def service_refusals(name: str, service: dict[str, Any]) -> Iterator[Refusal]:
    """What in one resolved service reaches beyond the project, apart from its mounts and networks."""
    where = f"services.{name}"
    yield from _namespaces(where, service)
    if service.get("privileged"):
        yield Refusal(
            f"{where}.privileged",
            "a privileged container reaches every disk of the machine",
            "name the capabilities that it needs (cap_add) in a Compose file for tests",
        )
    for device in service.get("devices") or ():
        source = str(device.get("source") if isinstance(device, dict) else device).split(":")[0]
        if source not in HARMLESS_DEVICES:
            yield Refusal(
                f"{where}.devices",
                f"the device {source} belongs to the machine",
                "leave it out in a Compose file for tests (`devices: !reset []`)",
            )
    if service.get("device_cgroup_rules"):
        yield Refusal(
            f"{where}.device_cgroup_rules",
            "device rules give the machine's devices to the container",
            "leave them out in a Compose file for tests",
        )
    for capability in service.get("cap_add") or ():
        if str(capability).upper().removeprefix("CAP_") in HOST_CAPABILITIES:
            yield Refusal(
                f"{where}.cap_add",
                f"the capability {capability} acts on the whole machine",
                "leave it out in a Compose file for tests",
            )
    if service.get("external_links"):
        yield Refusal(
            f"{where}.external_links",
            f"links to containers of another project ({', '.join(map(str, service['external_links']))})",
            "put a stand-in for them into the project",
        )
    for source in service.get("volumes_from") or ():
        if str(source).startswith("container:"):
            yield Refusal(
                f"{where}.volumes_from",
                f"uses the volumes of the foreign {str(source).replace(':', ' ', 1)}",
                "name a service of the project, or its volumes",
            )
    if service.get("use_api_socket"):
        yield Refusal(
            f"{where}.use_api_socket",
            "gives the engine's socket to the container, and with it everything on the engine",
            "leave the service out, or put a stand-in for it into a Compose file for tests",
        )
    if service.get("models"):
        yield Refusal(
            f"{where}.models",
            "a model is run by the machine's own runner, which the run cannot label",
            "put a stand-in for it into the project",
        )
    if build := service.get("build"):
        yield from _build(f"{where}.build", build if isinstance(build, dict) else {})
    if service.get("provider"):
        yield Refusal(
            f"{where}.provider",
            "a provider is a program on the machine, which makes what the run cannot label",
            "put a stand-in for it into the project",
        )
    for number, step in enumerate(service.get("pre_start") or (), 1):
        if isinstance(step, dict):
            yield from service_refusals(f"{name}.pre_start {number}", step)
    for hook in ("post_start", "pre_stop"):
        if any(isinstance(step, dict) and step.get("privileged") for step in service.get(hook) or ()):
            yield Refusal(
                f"{where}.{hook}", "a privileged hook reaches the machine", "run it without `privileged`"
            )


def is_memory(options: dict[str, Any]) -> bool:
    """Whether the options of a local volume make a filesystem in memory: with `bind` the type means nothing."""
    given = {option.strip() for option in str(options.get("o") or "").split(",")}
    return options.get("type") == "tmpfs" and not given & BIND_OPTIONS


def _build(where: str, build: dict[str, Any]) -> Iterator[Refusal]:
    if build.get("privileged") or "security.insecure" in (build.get("entitlements") or ()):
        yield Refusal(
            f"{where}.privileged", "a privileged build reaches the machine", "build it without `privileged`"
        )


def _namespaces(where: str, service: dict[str, Any]) -> Iterator[Refusal]:
    mode = str(service.get("network_mode") or "")
    if mode == "host":
        yield Refusal(
            f"{where}.network_mode",
            "with the host's network it takes the machine's own ports",
            "publish its ports instead (`ports:`) in a Compose file for tests",
        )
    elif mode not in OWN_NETWORK_MODES and mode.partition(":")[0] not in {"service", "container"}:
        yield Refusal(
            f"{where}.network_mode",
            f"joins the network {mode}, which is not the stack's",
            "declare it (`networks:`, `external: true`): the run then has one of its own in its place",
        )
    for key in ("network_mode", *HOST_NAMESPACES):
        value = str(service.get(key) or "")
        if value.startswith("container:"):
            yield Refusal(
                f"{where}.{key}",
                f"shares the {key.removesuffix('_mode')} of the foreign {value.replace(':', ' ', 1)}",
                "name a service of the project: `service:NAME`",
            )
        elif value == "host" and key != "network_mode":
            yield Refusal(
                f"{where}.{key}",
                f"shares the machine's own {key.removesuffix('_mode')} namespace",
                "leave it out in a Compose file for tests",
            )
