"""The address of a logo, whatever became of its file: `{% load basefilters %}`."""

from django import template
from django.db.models.fields.files import FieldFile

from base.logo import logo_url
from base.models import Company

register = template.Library()


@register.filter
def get_company_logo(company: Company | None) -> str:
    """`{{ company|get_company_logo }}`: the company's logo, or an avatar of its initials."""
    return logo_url(company.icon, company.name) if company else logo_url(None, "")


@register.filter
def get_company_logo_url(icon: FieldFile | None) -> str:
    """`{{ company.icon|get_company_logo_url }}`: the same for a file, or an avatar of whose file it is."""
    return logo_url(icon, str(getattr(icon, "instance", "")))
