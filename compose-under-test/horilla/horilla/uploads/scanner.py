"""Asks a malware scanner about an upload, in clamd's protocol (`INSTREAM`, see clamd(8))."""

import logging
import socket
import struct

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File

log = logging.getLogger("uploads")

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 64 << 10


def scan(file: File) -> None:
    """ValidationError `infected` for what the scanner finds, `scanner` when it cannot say; nothing when it is off."""
    if settings.CLAMD_ADDRESS is None:
        return
    try:
        verdict = _verdict(settings.CLAMD_ADDRESS, file)
    except OSError as error:
        log.error("clamd at %s:%d: %s", *settings.CLAMD_ADDRESS, error)  # noqa: TRY400  the trace says nothing
        verdict = ""
    if verdict.endswith(" FOUND"):
        log.warning("refused an upload: %s", verdict)
        raise ValidationError("The malware scanner refuses this file.", code="infected")
    if verdict != "stream: OK":
        raise ValidationError("The malware scanner does not answer; try again later.", code="scanner")


def _verdict(address: tuple[str, int], file: File) -> str:
    """`stream: OK`, `stream: NAME FOUND`, or an error of clamd's."""
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection:
        connection.sendall(b"zINSTREAM\0")
        for chunk in file.chunks(CHUNK_BYTES):
            connection.sendall(struct.pack(">I", len(chunk)) + chunk)
        connection.sendall(struct.pack(">I", 0))
        answer = b""
        while not answer.endswith(b"\0"):
            received = connection.recv(4096)
            if not received:
                break
            answer += received
    return answer.rstrip(b"\0").decode(errors="replace").strip()
