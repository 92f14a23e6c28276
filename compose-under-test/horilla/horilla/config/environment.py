"""Settings from the environment; each is checked as it is read, and the error names the variable."""

import os
import re

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable, or `default` where it is unset or empty, as Compose passes what `.env` leaves out."""
    return os.environ.get(name) or default


def required(name: str) -> str:
    """The variable, which has no default."""
    if value := text(name):
        return value
    raise ImproperlyConfigured(f"{name} must be set")


def listed(name: str, default: str = "") -> list[str]:
    """A list separated by commas."""
    return [item.strip() for item in text(name, default).split(",") if item.strip()]


def number(name: str, default: int) -> int:
    """A whole number above zero."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdecimal() or int(value) == 0:
        raise ImproperlyConfigured(f"{name} must be a positive whole number, not {value!r}")
    return int(value)


def truth(name: str, default: str) -> bool:
    """yes or no."""
    return choice(name, default, "yes", "no") == "yes"


def choice(name: str, default: str, *choices: str) -> str:
    """One of `choices`."""
    value = text(name, default)
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(choices)}, not {value!r}")
    return value


def rate(name: str, default: str) -> tuple[int, int] | None:
    """`600/m` as (600, 60): so many in so many seconds. None for `0`, which is no limit."""
    value = text(name, default)
    if value == "0":
        return None
    if match := re.fullmatch(r"([1-9][0-9]*)/([smh])", value):
        return int(match[1]), {"s": 1, "m": 60, "h": 3600}[match[2]]
    raise ImproperlyConfigured(f"{name} must be a rate such as 600/m, or 0, not {value!r}")


def address(name: str) -> tuple[str, int] | None:
    """`host:port`, or None where the variable is empty."""
    value = text(name)
    if not value:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal():
        raise ImproperlyConfigured(f"{name} must be host:port, not {value!r}")
    return host, int(port)
