"""The same answers for programs, as JSON, and for people, as pages."""

import errno
import sys
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.forms import BaseForm
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from uploads.validation import STATUSES


def wants_json(request: HttpRequest) -> bool:
    """Whether the client prefers JSON to a page; whoever takes anything gets a page."""
    return request.get_preferred_type(["text/html", "application/json"]) == "application/json"


def refusal(request: HttpRequest, status: int, reason: str) -> HttpResponse:
    """What a client is told whose request is not fulfilled."""
    if wants_json(request):
        return JsonResponse({"error": reason}, status=status)
    # Without the request: the page must not need the database.
    return render(None, "refused.html", {"reason": reason}, status=status)


def form_refusal(
    request: HttpRequest, form: BaseForm, template: str, context: dict[str, Any]
) -> HttpResponse:
    """The form again with what is wrong with it, under the status of the first error."""
    errors = [error for of_field in form.errors.as_data().values() for error in of_field]
    status = next((STATUSES[error.code] for error in errors if error.code in STATUSES), 400)
    if wants_json(request):
        return JsonResponse({"error": " ".join(" ".join(error.messages) for error in errors)}, status=status)
    return render(request, template, {**context, "form": form}, status=status)


def failure(request: HttpRequest) -> HttpResponse:
    """For what a request raised: 507 when the media volume is full, 503 when it or the database cannot be used."""
    error = sys.exc_info()[1]
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return refusal(request, 507, "The media volume is full.")
    if isinstance(error, OSError | OperationalError | InterfaceError) or _is_of_bucket(error):
        return refusal(request, 503, "Files or database cannot be used at the moment; try again later.")
    return refusal(request, 500, "Something went wrong here; the service's log has the details.")


def _is_of_bucket(error: BaseException | None) -> bool:
    if settings.ON_DISK:
        return False
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    return isinstance(error, Boto3Error | BotoCoreError | ClientError)
