"""What the operator may set, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """`max_bytes` is the size limit of one file; `require_mount` makes a missing volume an ill health."""

    max_bytes: int = DEFAULT_MAX_BYTES
    require_mount: bool = True
    port: int = 8001

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Raises ValueError, naming the variable, for what is no number or no truth value."""
        return cls(
            max_bytes=_number(environment, "MEDIA_MAX_BYTES", DEFAULT_MAX_BYTES),
            require_mount=_truth(environment, "MEDIA_REQUIRE_MOUNT", True),
            port=_number(environment, "MEDIA_PORT", 8001),
        )


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, str(default))
    if not value.isascii() or not value.isdecimal() or int(value) == 0:
        raise ValueError(f"{name} must be a positive whole number, not {value!r}")
    return int(value)


def _truth(environment: Mapping[str, str], name: str, default: bool) -> bool:
    value = environment.get(name, str(default)).lower()
    if value not in ("true", "false"):
        raise ValueError(f"{name} must be true or false, not {value!r}")
    return value == "true"
