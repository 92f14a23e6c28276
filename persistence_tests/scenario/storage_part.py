"""The scenario's `stack.storage`: what the stack's files lie on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from persistence_tests.scenario.quantities import ByteCount, wrong
from persistence_tests.stack.disks.disk import DEFAULT_SIZE, MEBIBYTE, SMALLEST, Media


class StoragePart(BaseModel):
    """The disks that the stack lies on: filesystems of the run's own, which an event can cut the power of."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    on: Literal["crash-disk"] = Field(description="The kind of disk.")
    size: ByteCount = Field(
        default=DEFAULT_SIZE, description="The size of each disk, of which only what is used is taken."
    )
    filesystem: Literal["ext4", "xfs"] = Field(default="ext4", description="The filesystem of the disks.")
    noauto_da_alloc: bool = Field(
        default=False,
        description="Mount ext4 with this option, in every step and not only where an event says so.",
    )
    volumes: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=64)] = Field(
        default=(),
        description="The volumes, by their keys, and directories (`./media`) on disks; by default all that can.",
    )

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        return {"on": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _possible(self) -> StoragePart:
        if self.size < (least := SMALLEST[self.filesystem]):
            raise wrong(
                f"{self.filesystem} needs at least {least // MEBIBYTE} MiB",
                f"write `size: {least // MEBIBYTE} MiB`",
            )
        if self.noauto_da_alloc and self.filesystem != "ext4":
            raise wrong("`noauto_da_alloc` is an option of ext4", "remove it, or write `filesystem: ext4`")
        return self

    @property
    def media(self) -> Media:
        return Media(self.size, self.filesystem, self.noauto_da_alloc, self.volumes)
