"""The key `request` of a write rule: one request, or one for each operation."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from persistence_tests.scenario.quantities import wrong

Text = Annotated[str, Field(min_length=1)]


class _OrText(BaseModel):
    """A mapping, for which a text may stand."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "minLength": 1}, handler(core_schema)]}


class RequestPart(_OrText):
    """A request with headers or a form of its own; without them it is written as a text."""

    send: Text = Field(
        description="Method and URL; `{name}`, `{directory}`, `{filename}` and `{to}` are filled in.",
        examples=["MOVE /files/{name}"],
    )
    headers: dict[Text, str] = Field(
        default={},
        description="Headers of this request; the same is filled in.",
        examples=[{"Destination": "/files/{to}"}],
    )
    form: dict[Text, str] = Field(
        default={},
        description="The fields of a form that is the body of this request; filled in as `headers` of the rule.",
        examples=[{"icon": "{name}", "csrfmiddlewaretoken": "{csrf}"}],
    )


def _one_request(value: Any) -> Any:
    if isinstance(value, str):
        return {"send": value}
    if not isinstance(value, dict):
        raise wrong("this is no request", "write it like `PUT /files/{name}`")
    return value


OneRequest = Annotated[RequestPart, BeforeValidator(_one_request)]


class RequestsPart(_OrText):
    """The request of each operation that a rule makes; a text is that of `create`."""

    create: OneRequest = Field(
        description="The request that writes a new file, with `{directory}` or `{name}`.",
        examples=["POST /api/v1/media/{directory}"],
    )
    overwrite: OneRequest | None = Field(
        default=None,
        description="The request that replaces a file's content.",
        examples=["PUT /files/{name}"],
    )
    append: OneRequest | None = Field(
        default=None,
        description="The request that adds its body to a file.",
        examples=["PATCH /files/{name}"],
    )
    rename: OneRequest | None = Field(
        default=None,
        description="The request that gives a file the name `{to}`, or `{to_filename}` in its directory.",
        examples=["POST /files/{name}?to={to}"],
    )
    delete: OneRequest | None = Field(
        default=None, description="The request that deletes a file.", examples=["DELETE /files/{name}"]
    )


def _requests(value: Any) -> Any:
    if isinstance(value, str):
        return {"create": value}
    if not isinstance(value, dict):
        raise wrong(
            "this is no request, and no mapping of operations to requests",
            "write it like `POST /upload/{directory}`",
        )
    return value


Requests = Annotated[RequestsPart, BeforeValidator(_requests)]
