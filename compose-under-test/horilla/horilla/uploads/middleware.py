"""What an upload meets before its view: limits of size and rate."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from uploads.answers import refusal
from uploads.rate import wait_seconds

GetResponse = Callable[[HttpRequest], HttpResponse]

# What multipart/form-data adds to the file: boundaries, headers, small other fields.
ENVELOPE_BYTES = 65536


class BodyLimit:
    """413 for a body larger than any file may be, before it is read. (A body without a length is read as empty.)"""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._limit = max(settings.UPLOAD_MAX_BYTES, settings.DOCUMENT_MAX_BYTES) + ENVELOPE_BYTES

    def __call__(self, request: HttpRequest) -> HttpResponse:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > self._limit:
            return refusal(request, 413, f"A request may have {self._limit} bytes.")
        return self._get_response(request)


class UploadRate:
    """429 for whoever uploads more often than UPLOAD_RATE, in the admin too."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponse | None:
        """After the session and the user are known, before the body is read."""
        uploads = request.method == "POST" and request.content_type == "multipart/form-data"
        if not uploads or settings.UPLOAD_RATE is None or not request.user.is_authenticated:
            return None
        wait = wait_seconds(request.user.pk, *settings.UPLOAD_RATE)
        if not wait:
            return None
        answer = refusal(request, 429, f"Too many uploads; try again in {wait} s.")
        answer["Retry-After"] = str(wait)
        return answer
