"""The application `base`."""

from django.apps import AppConfig


class BaseConfig(AppConfig):
    """Companies."""

    name = "base"
