"""Rows that refer to uploaded files, and how many uploads a user made."""

import hashlib
from functools import partial
from pathlib import PurePosixPath
from typing import Any, ClassVar

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import models, transaction
from django.db.models.fields.files import FieldFile
from django.db.models.signals import post_delete
from django.dispatch import receiver

from uploads.images import open_image, webp_variant


class KeepsUpload(models.Model):
    """A row with one uploaded file, whose digest and size stand beside its name.

    `upload_field` names the field; `FIELD_sha256` and `FIELD_size` are columns, and where there is a column
    `FIELD_webp`, a small WebP variant is kept too. A new file is on the disk before the row refers to it, an old
    one is removed when no row does any more: whatever interrupts, no row refers to nothing.
    """

    upload_field: ClassVar[str]

    class Meta:
        abstract = True

    @property
    def upload(self) -> FieldFile:
        """The uploaded file."""
        return getattr(self, self.upload_field)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, in hex; empty without one."""
        return getattr(self, f"{self.upload_field}_sha256")

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keeps a file that was assigned, then the row, then removes what the row referred to before."""
        with transaction.atomic():
            before = self._names_in_row()
            added: set[str] = set()
            try:
                if self.upload and not self.upload._committed:
                    self._keep(added)
                elif not self.upload:
                    self._describe("", None, "")
                super().save(*args, **kwargs)
            except BaseException:
                # Nothing was committed. (Of a commit that fails, nobody knows: its files stay.)
                remove(added)
                raise
            transaction.on_commit(partial(remove, before - self.names()))

    def names(self) -> set[str]:
        """What the row refers to, relative to the media root."""
        return {name for column in self._columns() if (name := str(getattr(self, column)))}

    def _names_in_row(self) -> set[str]:
        """The same, of the row as it is; whoever else replaces the file waits."""
        rows = type(self)._default_manager.select_for_update().filter(pk=self.pk)
        return {name for row in rows.values_list(*self._columns()) for name in row if name}

    def _keep(self, added: set[str]) -> None:
        """Saves the assigned file and its variant; what was saved is in `added` also when this raises."""
        digest, size = hashlib.sha256(), 0
        for chunk in self.upload.chunks():
            digest.update(chunk)
            size += len(chunk)
        variant = None
        if self._has_variant():
            variant = webp_variant(open_image(self.upload.file, self.upload.name))
        self.upload.save(PurePosixPath(self.upload.name).name, self.upload.file, save=False)
        added.add(self.upload.name)
        webp = ""
        if variant:
            original = PurePosixPath(self.upload.name)
            webp = default_storage.save(str(original.parent / "webp" / f"{original.stem}.webp"), variant)
            added.add(webp)
        self._describe(digest.hexdigest(), size, webp)

    def _describe(self, digest: str, size: int | None, webp: str) -> None:
        setattr(self, f"{self.upload_field}_sha256", digest)
        setattr(self, f"{self.upload_field}_size", size)
        if self._has_variant():
            setattr(self, f"{self.upload_field}_webp", webp)

    @classmethod
    def _has_variant(cls) -> bool:
        return any(field.name == f"{cls.upload_field}_webp" for field in cls._meta.get_fields())

    @classmethod
    def _columns(cls) -> list[str]:
        return [cls.upload_field, *([f"{cls.upload_field}_webp"] if cls._has_variant() else [])]


@receiver(post_delete)
def remove_files(instance: models.Model, **_: Any) -> None:
    """The row first, then its files: also for those that the admin deletes many at a time."""
    if isinstance(instance, KeepsUpload):
        transaction.on_commit(partial(remove, instance.names()))


def remove(names: set[str]) -> None:
    """Removes files of the media storage for good."""
    for name in sorted(names):
        default_storage.delete(name)


class Allowance(models.Model):
    """How many uploads a user made in the latest period; one row a user, shared by all replicas."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True)
    period = models.BigIntegerField()
    used = models.IntegerField()
