"""Helper containers: created, given the stack's volumes read-only, read from, removed.

Files are read with the engine's archive calls, which work on a container that never ran: no program of any image
is needed, and the stack may be down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persistence_tests.errors import StackError
from persistence_tests.stack.engine import engine_answers
from persistence_tests.stack.identity import HELPER_LABEL

if TYPE_CHECKING:
    from docker.models.containers import Container

    from persistence_tests.stack.engine import Engine

Source = str | Path  # a volume's name on the engine, or an absolute path on the host

CHUNK = 1 << 20


@contextmanager
def helper(
    engine: Engine,
    mounts: Mapping[str, Source],
    *,
    labels: Mapping[str, str],
    command: Sequence[str] = (),
    image: str | None = None,
    writable: bool = False,
    **options: Any,
) -> Iterator[Container]:
    """A container that is created, not started, and removed in the end.

    `mounts` maps targets to volumes that exist or to paths on the host; they are read-only unless `writable`, and
    never filled from the image. `options` go to the SDK's `containers.create` (`pid_mode`, `cap_add`, `user`…).
    Without `network_mode` it has no network. Raises StackError where a volume is not there.
    """
    with engine_answers("making a helper container"):
        for source in mounts.values():
            if isinstance(source, str):
                ensure_volume_exists(engine, source)
        container = engine.client.containers.create(
            image or engine.helper_image,
            list(command) or ["true"],
            labels={**labels, HELPER_LABEL: "true"},
            mounts=[_mount(target, source, writable) for target, source in mounts.items()],
            **{"network_mode": "none", **options},
        )
    try:
        yield container
    finally:
        remove(container)


def run_to_end(container: Container, timeout: float = 120.0) -> tuple[int, bytes]:
    """Start a helper and wait: its exit code, and what it wrote to its standard output and error."""
    with engine_answers("running a helper container"):
        container.start()
        status = container.wait(timeout=timeout)
        return int(status["StatusCode"]), container.logs(stdout=True, stderr=True)


@contextmanager
def archive_stream(container: Container, path: str) -> Iterator[Iterator[bytes]]:
    """The engine's own archive stream, with the SDK's errors, and surely over in the end.

    A stream that is held half read keeps the engine from removing the container. The SDK's own generator lets go
    of it only when it is collected, and hands out the engine's chunks one by one, which is slow.
    """
    import requests
    from docker.errors import create_api_error_from_http_exception
    from urllib3.exceptions import HTTPError

    assert container.client is not None
    api = container.client.api
    address = f"{api.base_url}/v{api.api_version}/containers/{container.id}/archive"
    with api.get(
        address,
        params={"path": path},
        headers={"Accept-Encoding": "identity"},
        stream=True,
        timeout=api.timeout,
    ) as answer:
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            create_api_error_from_http_exception(error)

        def chunks() -> Iterator[bytes]:
            try:
                while chunk := answer.raw.read(CHUNK):
                    yield chunk
            except HTTPError as error:
                raise requests.exceptions.ChunkedEncodingError(error) from error

        yield chunks()


def ensure_volume_exists(engine: Engine, name: str) -> None:
    """A container made on a volume that is not there would create it, without labels and filled from the image."""
    from docker.errors import NotFound

    try:
        engine.client.api.inspect_volume(name)
    except NotFound:
        raise StackError(f"the volume {name} is not on the engine") from None


def remove(container: Container) -> None:
    from docker.errors import APIError, NotFound

    try:
        container.remove(force=True, v=True)
    except NotFound:
        pass
    except APIError as error:
        if error.status_code != 409:  # its removal is already under way
            raise


def _mount(target: str, source: Source, writable: bool) -> Any:
    from docker.types import Mount

    if isinstance(source, Path):
        return Mount(target, str(source), type="bind", read_only=not writable)
    return Mount(target, source, type="volume", read_only=not writable, no_copy=True)
