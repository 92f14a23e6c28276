"""Keys of a write rule about uploads: parts, and what of an answer counts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from persistence_tests.paths.answer import Taking
from persistence_tests.paths.uploading import Parts
from persistence_tests.scenario.quantities import ByteCount

Text = Annotated[str, Field(min_length=1)]


class PartsPart(BaseModel):
    """An upload by several requests, each with a part of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    size: Annotated[ByteCount, Field(ge=1)] = Field(
        description="Bytes of a part; the last one is what is left.", examples=["64KiB"]
    )
    request: Text = Field(
        description=(
            "The request that carries a part. Besides what stands for the name, `{offset}`, `{end}`, `{last}`, "
            "`{length}`, `{size}`, `{part}` (from 0), `{number}` (from 1), `{parts}` and what `take` names are "
            "filled in."
        ),
        examples=["PATCH /files/{name}?offset={offset}", "PATCH {upload}"],
    )
    headers: dict[Text, str] = Field(
        default={},
        description="Headers of the requests that carry parts; the same is filled in.",
        examples=[{"Content-Range": "bytes {offset}-{last}/{size}"}, {"Upload-Offset": "{offset}"}],
    )
    order: Literal["in-order", "shuffled"] = Field(
        default="in-order", description="The order in which the parts are sent, one after the other."
    )
    start: Text | None = Field(
        default=None,
        description="A request without content that begins the upload.",
        examples=["POST /files"],
    )
    take: dict[Text, Taking] = Field(
        default={},
        description="What is taken from the answer to `start`.",
        examples=[{"upload": {"header": "Location"}}],
    )
    finish: Text | None = Field(
        default=None,
        description="A request that ends the upload. Its answer acknowledges it, else that to the part sent last.",
        examples=["POST /files/{name}/complete"],
    )
    leave_out: int = Field(
        default=0,
        ge=0,
        description="Of how many files a step one part is never sent; they are not acknowledged.",
    )

    @property
    def parts(self) -> Parts:
        return Parts(
            size=self.size,
            request=self.request,
            headers=self.headers,
            shuffled=self.order == "shuffled",
            start=self.start,
            take=self.take,
            finish=self.finish,
        )
