"""Companies: a list, a page of each, and what is done to them."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from base.forms import CompanyForm, IconForm
from base.models import Company
from uploads.answers import form_refusal, wants_json

ON_A_PAGE = 50


@login_not_required
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """What browsers ask for where no page says which icon it has: in the admin, beside a picture."""
    return redirect(static("images/horilla.svg"))


def described(company: Company) -> dict[str, Any]:
    """A company as JSON; names of files are relative to the media root."""
    return {
        "id": company.pk,
        "name": company.name,
        "icon": company.icon.name,
        "icon_webp": company.icon_webp.name,
        "url": company.icon.url if company.icon else None,
        "sha256": company.icon_sha256,
        "size": company.icon_size,
    }


@require_http_methods(["GET", "HEAD", "POST"])
def companies(request: HttpRequest) -> HttpResponse:
    """GET: the list. POST `icon`, `name`: 201 and the new company, or its page."""
    shown = {"page": Paginator(Company.objects.all(), ON_A_PAGE).get_page(request.GET.get("page"))}
    if request.method != "POST":
        return render(request, "companies.html", {**shown, "form": CompanyForm()})
    form = CompanyForm(request.POST, request.FILES)
    if not form.is_valid():
        return form_refusal(request, form, "companies.html", shown)
    company = form.save()
    if wants_json(request):
        return JsonResponse(described(company), status=201)
    return redirect(company)


@require_safe
def company(request: HttpRequest, pk: int) -> HttpResponse:
    """A company's page, or the company as JSON."""
    found = get_object_or_404(Company, pk=pk)
    if wants_json(request):
        return JsonResponse(described(found))
    return render(request, "company.html", {"company": found, "form": IconForm()})


@require_POST
def replace_icon(request: HttpRequest, pk: int) -> HttpResponse:
    """POST `icon`: the new logo is kept under a name of its own, then the old one is removed."""
    with transaction.atomic():
        found = get_object_or_404(Company.objects.select_for_update(), pk=pk)
        form = IconForm(request.POST, request.FILES, instance=found)
        if not form.is_valid():
            shown = {"company": Company.objects.get(pk=pk)}
            return form_refusal(request, form, "company.html", shown)
        form.save()
    if wants_json(request):
        return JsonResponse(described(found))
    messages.success(request, "The logo was replaced.")
    return redirect(found)


@require_POST
def delete_company(request: HttpRequest, pk: int) -> HttpResponse:
    """204 when the company and its logo are gone for good."""
    return _deleted(request, pk=pk)


@require_POST
def delete_by_icon(request: HttpRequest) -> HttpResponse:
    """The same for whoever knows only the stored name: POST `icon`."""
    return _deleted(request, icon=request.POST.get("icon") or None)


def _deleted(request: HttpRequest, **which: Any) -> HttpResponse:
    with transaction.atomic():
        get_object_or_404(Company.objects.select_for_update(), **which).delete()
    return HttpResponse(status=204) if wants_json(request) else redirect("companies")
