"""Forms of companies."""

from pathlib import PurePosixPath
from typing import Any, ClassVar

from django import forms

from base.models import Company


class IconForm(forms.ModelForm):
    """A logo in place of another."""

    icon = Company._meta.get_field("icon").formfield(
        required=True, widget=forms.FileInput({"accept": "image/*"})
    )

    class Meta:
        model = Company
        fields: ClassVar = ["icon"]


class CompanyForm(IconForm):
    """A new company; without a name it is called after its logo."""

    class Meta:
        model = Company
        fields: ClassVar = ["name", "icon"]

    name = Company._meta.get_field("name").formfield(required=False)

    def clean(self) -> dict[str, Any]:
        """Gives the company a name."""
        cleaned = super().clean()
        if not cleaned.get("name") and cleaned.get("icon"):
            cleaned["name"] = PurePosixPath(cleaned["icon"].name).stem[:150]
        return cleaned
