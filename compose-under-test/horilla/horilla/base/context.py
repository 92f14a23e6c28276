"""What every page may show."""

from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from base.models import Company


def own_company(request: HttpRequest) -> dict[str, Any]:
    """`own_company`: the first one, or None; asked for only by pages that show it."""
    return {"own_company": SimpleLazyObject(Company.objects.first)}
