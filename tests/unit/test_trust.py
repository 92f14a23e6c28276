"""A certificate that the stack makes itself is read once for each start of its service."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from persistence_tests.errors import StackError
from persistence_tests.paths import replica
from persistence_tests.paths.trust import CertificateOf, ServedCertificate

AUTHORITY = (Path(__file__).parent / "tls" / "authority.pem").read_bytes()


class Proxy:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.pem, self.status = "1", AUTHORITY, "running"
        self.read: list[tuple[str, str]] = []
        monkeypatch.setattr(replica, "read_by_archive", self._reads)
        self.certificate = ServedCertificate(self, CertificateOf(service="proxy", file="/tls/own/c.pem"))  # type: ignore[arg-type]

    def containers(self, service: str) -> list[Any]:
        state = {"State": {"StartedAt": self.started}}
        return [SimpleNamespace(id="c1", status=self.status, attrs=state)] if service == "proxy" else []

    def _reads(self, container: Any, root: str, name: str, limit: int) -> bytes:
        self.read.append((root, name))
        return self.pem


def test_it_is_read_again_once_its_service_was_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(monkeypatch)
    first = proxy.certificate.context()
    assert proxy.certificate.context() is first
    assert proxy.read == [("/tls/own", "c.pem")]
    proxy.started = "2"
    assert proxy.certificate.context() is not first
    assert len(first.get_ca_certs()) == 1


@pytest.mark.parametrize(("pem", "why"), [(b"", "there is no such file"), (b"none", "is no certificate")])
def test_what_is_no_certificate_is_said_and_tried_again(
    pem: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy(monkeypatch)
    proxy.pem = pem
    with pytest.raises(StackError, match=why):
        proxy.certificate.context()
    proxy.pem = AUTHORITY
    assert len(proxy.certificate.context().get_ca_certs()) == 1


def test_a_service_that_does_not_run_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Proxy(monkeypatch)
    proxy.status = "exited"
    with pytest.raises(StackError, match="proxy does not run"):
        proxy.certificate.context()


def test_a_file_is_named_by_its_whole_path() -> None:
    with pytest.raises(ValidationError, match="absolute path"):
        CertificateOf(service="proxy", file="tls/c.pem")
