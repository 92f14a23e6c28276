"""GET /health/: whether requests can be answered and files be stored."""

import errno
import logging
import os

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger("base")


@login_not_required
@require_safe
@never_cache
def health(request: HttpRequest) -> JsonResponse:
    """200 when the database answers and a file can be made on the media volume, else 503."""
    state = {"database": _database_answers(), "media": not settings.ON_DISK or _takes_a_file()}
    healthy = all(state.values())
    return JsonResponse(
        {"status": "ok" if healthy else "unavailable", **state}, status=200 if healthy else 503
    )


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error as error:
        log.warning("health: %s", error)
        return False
    return True


def _takes_a_file() -> bool:
    """Makes a file without a name, which nobody sees and which is gone when it is closed."""
    try:
        os.close(os.open(settings.MEDIA_ROOT, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR):
            return os.access(settings.MEDIA_ROOT, os.W_OK | os.X_OK)
        # A full volume still serves, and says 507 to whoever uploads.
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return True
