"""The part of a file that a Range header asks for (RFC 9110, section 14)."""

import re

from media.refusal import Refusal

_SINGLE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


def requested_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(offset, length) within a file of `size` bytes; None when the whole file is to be sent.

    Several ranges, other units and malformed headers are answered with the whole file, as the RFC allows;
    a range that lies outside the file is Refusal 416.
    """
    match = _SINGLE.fullmatch(header) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1] == "":
        length = min(int(match[2]), size)
        if length == 0:
            raise Refusal(416, "the range is empty")
        return size - length, length
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    if match[2] and int(match[2]) < first:
        return None
    if first >= size:
        raise Refusal(416, "the range begins after the end of the file")
    return first, last - first + 1
