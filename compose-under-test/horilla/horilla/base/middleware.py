"""What every page is answered with, and who may see it."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.files.storage import default_storage
from django.http import HttpRequest, HttpResponse

from uploads.answers import refusal, wants_json


class ContentSecurityPolicy:
    """Pages load what this site, and the bucket of its media, serve, and are shown in no frame."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response
        images = "'self'"
        if not settings.ON_DISK:
            bucket = urlsplit(default_storage.url("x"))
            images += f" {bucket.scheme}://{bucket.netloc}"
        self._policy = (
            f"default-src 'self'; img-src {images}; object-src 'none'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        )

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self._get_response(request)
        answer.headers.setdefault("Content-Security-Policy", self._policy)
        return answer


class LoginRequired(LoginRequiredMiddleware):
    """Every view, unless it says otherwise; programs are told 401 where people are shown the login."""

    def process_view(self, request: HttpRequest, view_func: Any, *arguments: Any) -> HttpResponse | None:
        """What is for everybody does not ask who it is for: that would need the database."""
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, *arguments)

    def handle_no_permission(self, request: HttpRequest, view_func: Any) -> HttpResponse:
        """401, or the way to the login."""
        if wants_json(request):
            return refusal(request, 401, "Log in first.")
        return super().handle_no_permission(request, view_func)
