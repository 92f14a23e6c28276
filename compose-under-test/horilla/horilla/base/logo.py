"""Where a picture is: the file, if storage has it, else an avatar."""

import logging

from django.conf import settings
from django.core.cache import cache
from django.db.models.fields.files import FieldFile

from base.avatar import avatar_url

log = logging.getLogger("base")

# Set while storage did not answer lately: a page with fifty logos waits for it once.
AWAY = "storage-away"


def logo_url(file: FieldFile | None, name: str) -> str:
    """The address of `file`, or of the avatar of `name` where there is no such file; never raises for storage."""
    if not file:
        return avatar_url(name)
    try:
        if cache.get(AWAY):
            return avatar_url(name)
        # An answer holds for a while, whichever it was: a page with many logos asks a distant storage once.
        is_there = cache.get_or_set(
            f"exists:{file.name}", lambda: file.storage.exists(file.name), settings.EXISTENCE_SECONDS
        )
        return _versioned(file) if is_there else avatar_url(name)
    except Exception:
        # S3 alone has dozens of exceptions; whichever it is, the page has a picture.
        log.exception("storage cannot say whether it has %s", file.name)
        cache.set(AWAY, True, settings.EXISTENCE_SECONDS)
        return avatar_url(name)


def _versioned(file: FieldFile) -> str:
    """A browser keeps what it has seen for days: a file that took a deleted one's name has another address."""
    digest = getattr(file.instance, "digest", "")
    if digest and settings.ON_DISK:
        return f"{file.url}?v={digest[:12]}"
    return file.url
