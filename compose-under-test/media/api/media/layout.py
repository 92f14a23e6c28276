"""Where the media files live, and which names in there belong to the service itself."""

import os
from pathlib import Path

MEDIA_ROOT = Path(os.environ.get("MEDIA_ROOT", "/home/app/assets/media-files"))
DIRECTORY_LIST = Path(os.environ.get("MEDIA_DIRECTORIES", "/home/app/media-directories"))

UPLOAD_PREFIX = ".upload-"
UPLOAD_SUFFIX = ".part"
RESTORE_DIRECTORY = ".media-restore"
# mkfs puts it into the root of a filesystem that is mounted as the volume; it is nobody's media.
FILESYSTEM_DIRECTORY = "lost+found"


def standard_directories(listing: Path = DIRECTORY_LIST) -> tuple[str, ...]:
    """The directories that always exist below the media root, one name a line of `listing`."""
    return tuple(line for line in listing.read_text(encoding="utf-8").splitlines() if line)


def is_upload_leftover(name: str) -> bool:
    """Whether `name` is that of an upload's temporary file."""
    return name.startswith(UPLOAD_PREFIX) and name.endswith(UPLOAD_SUFFIX)


def is_service_name(name: str) -> bool:
    """Whether `name`, at any depth, is the service's own: neither served, nor uploaded, nor archived."""
    return is_upload_leftover(name) or name == RESTORE_DIRECTORY
