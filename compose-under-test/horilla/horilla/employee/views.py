"""Employees and their documents."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from employee.forms import DocumentForm, EmployeeForm
from employee.models import Document, Employee, signer
from uploads.answers import form_refusal, refusal, wants_json
from uploads.serving import protected

ON_A_PAGE = 50


@require_http_methods(["GET", "HEAD", "POST"])
def employees(request: HttpRequest) -> HttpResponse:
    """GET: the list. POST `first_name`, `last_name`, `avatar`: 201 and the new employee, or the page."""
    shown = {"page": Paginator(Employee.objects.all(), ON_A_PAGE).get_page(request.GET.get("page"))}
    if request.method != "POST":
        return render(request, "employees.html", {**shown, "form": EmployeeForm()})
    form = EmployeeForm(request.POST, request.FILES)
    if not form.is_valid():
        return form_refusal(request, form, "employees.html", shown)
    employee = form.save()
    if not wants_json(request):
        return redirect(employee)
    described = {
        "id": employee.pk,
        "name": str(employee),
        "avatar": employee.avatar.name,
        "url": employee.avatar.url if employee.avatar else None,
        "sha256": employee.avatar_sha256,
        "size": employee.avatar_size,
    }
    return JsonResponse(described, status=201)


@require_safe
def employee(request: HttpRequest, pk: int) -> HttpResponse:
    """An employee's page."""
    found = get_object_or_404(Employee, pk=pk)
    return render(request, "employee.html", {"employee": found, "form": DocumentForm()})


@require_POST
def add_document(request: HttpRequest, pk: int) -> HttpResponse:
    """POST `file`: 201 and the document with a signed link, or the employee's page."""
    found = get_object_or_404(Employee, pk=pk)
    form = DocumentForm(request.POST, request.FILES, instance=Document(employee=found))
    if not form.is_valid():
        return form_refusal(request, form, "employee.html", {"employee": found})
    kept = form.save()
    if not wants_json(request):
        return redirect(found)
    described = {
        "id": kept.pk,
        "file": kept.file.name,
        "sha256": kept.file_sha256,
        "size": kept.file_size,
        "url": kept.signed_url(),
    }
    return JsonResponse(described, status=201)


@login_not_required
@require_safe
def document(request: HttpRequest, pk: int) -> HttpResponse:
    """The file, for those who are logged in, and for whoever has a link that is signed and not expired."""
    token = request.GET.get("token")
    if token is not None:
        if not _entitles(token, pk):
            return refusal(request, 403, "This link is not valid, or not any more.")
    elif not request.user.is_authenticated:
        if wants_json(request):
            return refusal(request, 401, "Log in first.")
        return redirect_to_login(request.get_full_path())
    found = get_object_or_404(Document, pk=pk)
    return protected(request, found.file, found.filename)


@require_POST
def delete_document(request: HttpRequest, pk: int) -> HttpResponse:
    """204 when the document is gone for good, or the employee's page."""
    with transaction.atomic():
        found = get_object_or_404(Document.objects.select_for_update(), pk=pk)
        of = found.employee
        found.delete()
    return HttpResponse(status=204) if wants_json(request) else redirect(of)


def _entitles(token: str, pk: int) -> bool:
    try:
        return signer.unsign(token, max_age=settings.DOCUMENT_LINK_SECONDS) == str(pk)
    except signing.BadSignature:
        return False
