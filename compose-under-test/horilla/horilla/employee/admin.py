"""Employees and documents in the admin."""

from typing import ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from employee.models import Document, Employee


@admin.register(Employee)
class EmployeeAdmin(admin.ModelAdmin):
    """Upload, replace and clear an avatar."""

    list_display = ("__str__", "avatar_size")
    readonly_fields = ("avatar_sha256", "avatar_size")
    search_fields: ClassVar = ["first_name", "last_name"]


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    """A document is added and removed, not changed; its link goes by way of the login."""

    list_display = ("__str__", "employee", "file_size", "uploaded_at")
    autocomplete_fields: ClassVar = ["employee"]

    def get_fields(self, request: HttpRequest, obj: Document | None = None) -> list[str]:
        """The file's own address leads nowhere, as documents are not public."""
        return ["employee", "link", "file_sha256", "uploaded_at"] if obj else ["employee", "file"]

    def has_change_permission(self, request: HttpRequest, obj: Document | None = None) -> bool:
        """Never: a changed document is another one."""
        return False

    @admin.display(description="file")
    def link(self, document: Document) -> SafeString:
        """Opens the document."""
        return format_html('<a href="{}">{}</a>', document.get_absolute_url(), document.filename)
