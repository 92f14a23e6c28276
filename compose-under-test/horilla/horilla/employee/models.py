"""An employee, and the documents of one."""

from typing import ClassVar

from django.core import signing
from django.db import models
from django.urls import reverse

from uploads.models import KeepsUpload
from uploads.validation import validate_document, validate_image

signer = signing.TimestampSigner(salt="employee.document")


class Employee(KeepsUpload):
    """Somebody who works here."""

    upload_field = "avatar"

    first_name = models.CharField(max_length=100)
    last_name = models.CharField(max_length=100)
    avatar = models.FileField(
        upload_to="employee/avatars/", max_length=255, blank=True, validators=[validate_image]
    )
    avatar_sha256 = models.CharField(max_length=64, blank=True, editable=False)
    avatar_size = models.BigIntegerField(null=True, editable=False)

    class Meta:
        ordering: ClassVar = ["last_name", "first_name", "pk"]

    def __str__(self) -> str:
        return f"{self.first_name} {self.last_name}"

    def get_absolute_url(self) -> str:
        """The employee's page."""
        return reverse("employee", args=[self.pk])


class Document(KeepsUpload):
    """A contract, a certificate: for those who are logged in, or were given a link that expires."""

    upload_field = "file"

    employee = models.ForeignKey(Employee, models.CASCADE, related_name="documents")
    file = models.FileField(upload_to="employee/documents/", max_length=255, validators=[validate_document])
    file_sha256 = models.CharField(max_length=64, editable=False)
    file_size = models.BigIntegerField(editable=False)
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar = ["-uploaded_at", "-pk"]

    def __str__(self) -> str:
        return self.filename

    @property
    def filename(self) -> str:
        """Its name without its place."""
        return self.file.name.rpartition("/")[2]

    def get_absolute_url(self) -> str:
        """The address for those who are logged in."""
        return reverse("document", args=[self.pk])

    def signed_url(self) -> str:
        """The address for whoever holds it, for DOCUMENT_LINK_SECONDS from now."""
        return f"{self.get_absolute_url()}?token={signer.sign(str(self.pk))}"
