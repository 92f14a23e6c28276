"""Companies in the admin."""

from typing import ClassVar

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from base.logo import logo_url
from base.models import Company


@admin.register(Company)
class CompanyAdmin(admin.ModelAdmin):
    """Admin → Companies: upload, replace and clear a logo."""

    list_display = ("name", "logo", "icon_size")
    readonly_fields = ("logo", "icon_sha256", "icon_size")
    search_fields: ClassVar = ["name"]

    @admin.display(description="logo")
    def logo(self, company: Company) -> SafeString:
        """The small logo, or the avatar in its place."""
        return format_html(
            '<img src="{}" alt="" width="40" height="40">', logo_url(company.icon_webp, company.name)
        )
