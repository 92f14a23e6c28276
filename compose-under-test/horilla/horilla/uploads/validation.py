"""What an upload must be before it is kept. The order is that of the risk: size, kind, scanner, decoder."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.template.defaultfilters import filesizeformat

from uploads.images import open_image
from uploads.kinds import IMAGE_FORMATS, extension
from uploads.scanner import scan

# The end of a PDF is marked within its last kilobyte.
PDF_TRAILER_BYTES = 1024

# What each code of a ValidationError is as an HTTP status; whatever else is wrong with a form is 400.
STATUSES = {"size": 413, "pixels": 413, "type": 415, "infected": 422, "scanner": 503}


def validate_image(file: File) -> None:
    """An image of at most UPLOAD_MAX_BYTES that a decoder opens; ValidationError with a code of STATUSES."""
    if _is_kept_already(file):
        return
    _check_size(file, settings.UPLOAD_MAX_BYTES)
    scan(file)
    open_image(file, file.name or "")


def validate_document(file: File) -> None:
    """A PDF, PNG or JPEG of at most DOCUMENT_MAX_BYTES; ValidationError with a code of STATUSES."""
    if _is_kept_already(file):
        return
    _check_size(file, settings.DOCUMENT_MAX_BYTES)
    scan(file)
    kind = extension(file.name or "")
    if kind == ".pdf":
        _check_pdf(file)
    elif IMAGE_FORMATS.get(kind) in {"PNG", "JPEG"}:
        open_image(file, file.name or "")
    else:
        raise ValidationError("Documents are PDF, PNG or JPEG.", code="type")


def _is_kept_already(file: File) -> bool:
    """What a row refers to was looked at when it came, and need not be there any more."""
    return isinstance(file, FieldFile) and file._committed


def _check_size(file: File, limit: int) -> None:
    if file.size > limit:
        raise ValidationError(f"At most {filesizeformat(limit)}.", code="size")


def _check_pdf(file: File) -> None:
    file.seek(0)
    begins = file.read(5) == b"%PDF-"
    file.seek(max(0, file.size - PDF_TRAILER_BYTES))
    if not begins or b"%%EOF" not in file.read():
        raise ValidationError("This is not a whole PDF.", code="type")
