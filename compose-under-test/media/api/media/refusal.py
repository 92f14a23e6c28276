"""A request that is refused, with the HTTP status and the reason that its client is told."""

import errno


class Refusal(Exception):
    """`status` is an HTTP status code of 400 or above; `reason` one sentence for the client."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def refusal_of(error: OSError) -> Refusal:
    """What a client is told when the storage failed with `error`."""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return Refusal(507, "the media volume is full")
        case errno.ENAMETOOLONG:
            return Refusal(400, "the path is too long")
        case errno.EISDIR:
            return Refusal(409, "a directory of that name exists")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return Refusal(503, "the media volume cannot be written")
        case _:
            return Refusal(500, "the media volume failed")
