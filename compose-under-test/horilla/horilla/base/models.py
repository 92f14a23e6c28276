"""A company with its logo."""

from typing import ClassVar

from django.db import models
from django.urls import reverse

from uploads.models import KeepsUpload
from uploads.validation import validate_image


class Company(KeepsUpload):
    """A company; `icon` is its logo as it was uploaded, `icon_webp` a small one for lists."""

    upload_field = "icon"

    name = models.CharField(max_length=150)
    icon = models.FileField(
        upload_to="base/company/icon/", max_length=255, blank=True, validators=[validate_image]
    )
    icon_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    icon_size = models.BigIntegerField(null=True, editable=False)
    icon_webp = models.FileField(max_length=255, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["pk"]
        verbose_name_plural = "companies"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["icon"], name="one_company_an_icon", condition=~models.Q(icon=""))
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """The company's page."""
        return reverse("company", args=[self.pk])
