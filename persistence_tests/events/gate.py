"""When an event begins under which others go on writing or reading: after what was observed, not after a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

While = Literal["writing", "reading"]
Observed = Literal["acknowledged", "sent", "read", "received"]

DEFAULT: dict[While, tuple[Observed, int]] = {"writing": ("acknowledged", 5), "reading": ("read", 20)}
BELONGS_TO: dict[Observed, While] = {
    "acknowledged": "writing",
    "sent": "writing",
    "read": "reading",
    "received": "reading",
}
MOST = 10_000


class After(BaseModel):
    """One of these keys."""

    model_config = ConfigDict(extra="forbid", strict=True)

    acknowledged: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="With `while: writing`: so many acknowledgements since the writers began.",
    )
    sent: int | None = Field(
        None,
        ge=1,
        description="With `while: writing`: so many bytes of one file are on the wire; its upload stands still "
        "until the event is over, and then goes on.",
        examples=[65536],
    )
    read: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="With `while: reading`: so many whole files have been read since the readers began.",
    )
    received: int | None = Field(
        None,
        ge=1,
        description="With `while: reading`: so many bytes have come, of all files together.",
        examples=[65536],
    )

    @model_validator(mode="after")
    def _one(self) -> After:
        if len(self.model_dump(exclude_none=True)) != 1:
            keys = ", ".join(f"`{key}`" for key in type(self).model_fields)
            raise ValueError(f"must have exactly one key; write one of {keys}")
        return self


@dataclass(frozen=True, slots=True)
class Gate:
    """The event begins once `count` of it has been observed."""

    observed: Observed
    count: int

    @classmethod
    def of(cls, while_: While, after: After | None) -> Gate:
        if after is None:
            return cls(*DEFAULT[while_])
        counts: dict[Observed, int | None] = {
            "acknowledged": after.acknowledged,
            "sent": after.sent,
            "read": after.read,
            "received": after.received,
        }
        [(observed, count)] = [(observed, count) for observed, count in counts.items() if count is not None]
        return cls(observed, count)

    @property
    def belongs_to(self) -> While:
        return BELONGS_TO[self.observed]

    def __str__(self) -> str:
        match self.observed:
            case "acknowledged":
                return f"{self.count} acknowledgements"
            case "sent":
                return f"{self.count} bytes of an upload"
            case "read":
                return f"{self.count} reads"
            case "received":
                return f"{self.count} bytes received"
