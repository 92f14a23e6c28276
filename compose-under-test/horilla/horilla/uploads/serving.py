"""Hands out files: media to everybody, as nginx does it, and what is protected by way of nginx where it can."""

from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import default_storage
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.utils.http import content_disposition_header
from django.views.decorators.http import condition, require_safe

from uploads.kinds import content_type

PROTECTED = "employee/documents/"
MEDIA_SECONDS = 7 * 24 * 3600
# Whatever somebody uploaded, no browser runs it.
POLICY = "default-src 'none'; sandbox"


def _media_path(name: str) -> Path | None:
    """The file that everybody may see under `name`, if there is one."""
    if any(part.startswith(".") or not part for part in name.split("/")) or name.startswith(PROTECTED):
        return None
    try:
        path = Path(default_storage.path(name))
    except (NotImplementedError, SuspiciousFileOperation, ValueError):
        return None
    return path if path.is_file() else None


def _etag(request: HttpRequest, name: str) -> str | None:
    """nginx's own, so that a browser may come back by either way."""
    if path := _media_path(name):
        status = path.stat()
        return f'"{int(status.st_mtime):x}-{status.st_size:x}"'
    return None


@login_not_required
@require_safe
@condition(etag_func=_etag)
def media(request: HttpRequest, name: str) -> HttpResponse:
    """GET /media/NAME: what nginx serves without asking, for those who come without nginx."""
    path = _media_path(name)
    if path is None:
        raise Http404
    answer = FileResponse(path.open("rb"), content_type=content_type(name))
    answer["Cache-Control"] = f"public, max-age={MEDIA_SECONDS}"
    answer["Content-Security-Policy"] = POLICY
    return answer


def protected(request: HttpRequest, file: FieldFile, filename: str) -> HttpResponse:
    """A file for whom the caller has found entitled: nginx sends it where it offers to, else we do."""
    if settings.ON_DISK and request.headers.get("X-Sendfile-Type") == "X-Accel-Redirect":
        answer = HttpResponse(headers={"X-Accel-Redirect": quote(f"/protected/{file.name}")})
    else:
        try:
            answer = FileResponse(file.open("rb"))
        except FileNotFoundError:
            raise Http404 from None
    answer["Content-Type"] = content_type(file.name)
    answer["Content-Disposition"] = content_disposition_header(True, filename)
    answer["Cache-Control"] = "private, no-store"
    answer["Content-Security-Policy"] = POLICY
    return answer
