"""The application `uploads`."""

from django.apps import AppConfig


class UploadsConfig(AppConfig):
    """Keeps how much each user uploaded, and nothing else, in tables of its own."""

    name = "uploads"
