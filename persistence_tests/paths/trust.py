"""Which certificates an HTTP path trusts: the usual authorities, one of the project, or what a service has now."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, field_validator

from persistence_tests.errors import StackError, UsageError

if TYPE_CHECKING:
    from persistence_tests.stack.stack import Stack

LARGEST = 1 << 20  # bytes


class CertificateOf(BaseModel):
    """A certificate that the stack makes itself: what the service has, whenever it is started, is trusted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service that has it.")
    file: str = Field(
        description="The PEM file, an absolute path in its container.",
        examples=["/etc/nginx/tls/fullchain.pem"],
    )

    @field_validator("file")
    @classmethod
    def _absolute(cls, file: str) -> str:
        if not file.startswith("/") or file.endswith("/"):
            raise ValueError("must be the absolute path of a file in the container")
        return file


class ServedCertificate:
    """The certificate of a running container, read once for each start of it. Thread-safe."""

    def __init__(self, stack: Stack, where: CertificateOf) -> None:
        self._stack, self._where = stack, where
        self._lock = threading.Lock()
        self._read_of: tuple[str, str] | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Raises StackError where no container runs that has it."""
        from persistence_tests.paths.replica import read_by_archive

        where = self._where
        for container in self._stack.containers(where.service):
            if container.status != "running":
                continue
            started = (str(container.id), str(container.attrs["State"]["StartedAt"]))
            with self._lock:
                if self._context is None or self._read_of != started:
                    directory, _, name = where.file.rpartition("/")
                    pem = read_by_archive(container, directory or "/", name, LARGEST)
                    self._context, self._read_of = _trusting_pem(pem, where), started
                return self._context
        raise StackError(f"the certificate cannot be read: {where.service} does not run")


def trusting(ca: Path | None) -> ssl.SSLContext:
    """Trusts this authority, else the usual ones."""
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else f"{error}"
        raise UsageError(
            f"the certificate authority {ca} cannot be read: {reason}",
            remedy="name a PEM file in the project directory of the stack",
        ) from error


def _trusting_pem(pem: bytes, where: CertificateOf) -> ssl.SSLContext:
    if not pem.strip():
        raise StackError(
            f"{where.file} of {where.service} is no certificate: there is no such file, or it is empty"
        )
    try:
        context = ssl.create_default_context(cadata=pem.decode("ascii"))
    except (UnicodeDecodeError, ssl.SSLError, ValueError) as error:
        raise StackError(f"{where.file} of {where.service} is no certificate: {error}") from error
    # It is trusted itself, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
