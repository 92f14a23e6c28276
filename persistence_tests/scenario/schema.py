"""The scenario file's keys, assembled from the tables of paths and events."""

from __future__ import annotations

from functools import lru_cache
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from persistence_tests.duration import Duration
from persistence_tests.model.finding import Symptom
from persistence_tests.model.names import NameTrait
from persistence_tests.model.operation import Acknowledgement, Also, PayloadKind, PromiseClass
from persistence_tests.paths.answer import NameTaking
from persistence_tests.paths.frames import Overwriting
from persistence_tests.scenario.document import shorten
from persistence_tests.scenario.quantities import (
    ByteCount,
    Day,
    Directory,
    DirectoryOrRoot,
    Mode,
    OneOrMany,
    UrlPath,
    wrong,
)
from persistence_tests.scenario.request_part import Requests
from persistence_tests.scenario.storage_part import StoragePart
from persistence_tests.scenario.upload_part import PartsPart
from persistence_tests.scenario.vocabulary import Vocabulary

SCHEMA_ID = "https://json-schema.org/draft/2020-12/schema"

Text = Annotated[str, Field(min_length=1)]

Value = TypeVar("Value")


def _unlike(values: tuple[Value, ...]) -> tuple[Value, ...]:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise wrong(f"`{shorten(str(value))}` is listed twice", "remove one of the two")
    return values


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReadyPart(Part):
    """When the stack counts as ready, besides its own health checks."""

    path: Text | None = Field(
        default=None, description="The HTTP path whose server is asked; goes together with `url`."
    )
    url: UrlPath | None = Field(
        default=None, description="The URL that must answer 2xx.", examples=["/api/v1/health"]
    )
    within: Duration = Field(default=60.0, description="How long the stack may take, after each event too.")


class StackPart(Part):
    """The Compose project under test and how it is brought up."""

    compose: Annotated[OneOrMany, Field(min_length=1)] = Field(
        description="The Compose file, relative to the scenario file; or a list, as for Compose's `-f`."
    )
    profiles: tuple[Text, ...] = Field(default=(), description="The Compose profiles to bring up.")
    without: Annotated[tuple[Text, ...], AfterValidator(_unlike)] = Field(
        default=(),
        description="Services that are left out: those that reach your own machine and that the stack can do without.",
        examples=[["traefik"]],
    )
    env: dict[str, str] = Field(
        default={}, description="Environment of Compose and of the stack's own commands."
    )
    setup: tuple[Text, ...] = Field(
        default=(), description="Commands to run in the project directory once the stack is ready."
    )
    isolation: Literal["override", "machine"] = Field(
        default="override",
        description="How the stack is kept apart from everything else: `override` runs it on your engine with names "
        "and ports of its own; `machine` runs it as it stands in a Docker host of its own, a container.",
    )
    ready: ReadyPart | None = Field(
        default=None, description="How long the stack may take, and a URL that answers once it is ready."
    )
    commands: Literal["follow-project"] | None = Field(
        default=None,
        description=(
            "`follow-project`: the stack's own commands may run, because they use the COMPOSE_PROJECT_NAME, "
            "COMPOSE_FILE and DOCKER_HOST that they are given and no fixed names."
        ),
    )
    binds: dict[str, Text] = Field(
        default={},
        description="What replaces each absolute bind mount: its source, and a directory of the workspace.",
    )
    storage: StoragePart | None = Field(
        default=None,
        description=(
            "What the volumes of the stack, and the directories of the project that it writes to, lie on: "
            "`crash-disk`, or a mapping that says more. Without it they do so only for the events that need it."
        ),
        examples=["crash-disk", {"on": "crash-disk", "size": "256 MiB", "filesystem": "xfs"}],
    )
    copied: tuple[Text, ...] = Field(
        default=(), alias="copy", description="Data directories whose content is copied; others start empty."
    )


def _some(without: tuple[NameTrait, ...]) -> tuple[NameTrait, ...]:
    if len(without) == len(NameTrait):
        raise wrong("hostile names without anything hostile are plain", "write `names: plain`")
    return without


def _with_create(operations: tuple[str, ...]) -> tuple[str, ...]:
    if "create" not in operations:
        raise wrong("without `create` there is nothing to work on", "add `create`")
    return operations


Content = Literal[
    PayloadKind.BYTES, PayloadKind.TEXT, PayloadKind.PNG, PayloadKind.JPEG, PayloadKind.PDF
]  # fmt: skip


class WritePart(Part):
    """Files that are written in each step, before its event, and what is done to those written before."""

    through: Text = Field(description="The path that the files are written through.")
    into: Annotated[tuple[DirectoryOrRoot, ...], Field(min_length=1), AfterValidator(_unlike)] = Field(
        description="The directories that take the files in turn, relative to the root of the paths; `.` is that root."
    )
    files: int = Field(default=20, description="How many files are written in each step.", ge=1, le=100_000)
    kinds: Annotated[tuple[Content, ...], Field(min_length=1), AfterValidator(_unlike)] = Field(
        default=(PayloadKind.BYTES,), description="The kinds of content, taken in turn."
    )
    sizes: Annotated[tuple[ByteCount, ...], Field(min_length=1), AfterValidator(_unlike)] | None = Field(
        default=None,
        description="The sizes, taken in turn; by default both sides of those where stacks change behaviour.",
    )
    names: Literal["plain", "hostile"] = Field(
        default="hostile",
        description="`hostile` names hold spaces, quotes, `%`, `#`, unicode and more; `plain` ones do not.",
    )
    without: Annotated[tuple[NameTrait, ...], AfterValidator(_unlike), AfterValidator(_some)] = Field(
        default=(), description="What hostile names leave out because the stack documents that it refuses it."
    )
    operations: Annotated[
        tuple[Literal["create", "overwrite", "append", "rename", "delete"], ...],
        Field(min_length=1),
        AfterValidator(_unlike),
        AfterValidator(_with_create),
    ] = Field(
        default=("create",),
        description=(
            "What is done: besides the new files of each step, an eighth as many of those written so far, in "
            "this step or an earlier one, are overwritten, appended to, renamed, deleted; at least one each."
        ),
    )
    also: Annotated[tuple[Also, ...], AfterValidator(_unlike)] = Field(
        default=(),
        description=(
            "What is written in a container besides bytes, and must be kept: `symlinks` and `hard-links` to some of "
            "the new files, `modes` and `xattrs` (extended attributes) of some of them, and `sparse` files, which "
            "begin with a hole: their bytes must be kept, the hole itself may be filled. The owner (uid:gid) of "
            "every file and link is always compared."
        ),
    )
    overwrite: Overwriting | None = Field(
        default=None,
        description=(
            "How a path into a container overwrites a file: `truncate` empties it first (the default), "
            "`in-place` writes over the old bytes, `replace` renames a temporary file, which is atomic."
        ),
    )
    writers: int | None = Field(
        default=None,
        description=("How many write at once, each to names of its own; by default 4 over HTTP, else 1."),
        ge=1,
        le=64,
    )
    title: Text | None = Field(default=None, description="What the rule is called in reports.")
    request: Requests | None = Field(
        default=None,
        description=(
            "The request that writes a file through an HTTP path, with `{directory}` or `{name}`; or a mapping "
            "with one for each operation."
        ),
        examples=[
            "POST /api/v1/media/{directory}",
            {"create": "POST /upload/{directory}", "delete": "DELETE /files/{name}"},
        ],
    )
    multipart: Text | None = Field(
        default=None,
        description=(
            "The multipart field that carries the file in `create`, and in all that is sent by the same method; "
            "without it the body is the file."
        ),
    )
    form: dict[Text, str] = Field(
        default={},
        description="Other fields of the multipart form, before the file; filled in as `headers`.",
        examples=[{"csrfmiddlewaretoken": "{csrf}", "title": "{filename}"}],
    )
    headers: dict[Text, str] = Field(
        default={},
        description=(
            "Headers of the rule's requests: `{name}`, `{directory}`, `{filename}`, what the path's login took, and "
            "`${NAME}` are filled in."
        ),
        examples=[{"X-CSRFToken": "{csrf}"}],
    )
    accepts: Annotated[tuple[int, ...], AfterValidator(_unlike)] = Field(
        default=(),
        description=(
            "Statuses besides 2xx that acknowledge a write, such as the redirect that follows a form; one to the "
            "path's login never does."
        ),
        examples=[[302]],
    )
    parts: PartsPart | None = Field(
        default=None, description="In place of `request`: how a file is uploaded in several parts."
    )
    stored_as: NameTaking | None = Field(
        default=None,
        description="The stack names the file itself: where its answer says under which name.",
        examples=[{"json": "data.path"}, {"header": "Location", "under": "/media/"}],
    )
    content: Literal["as-written", "as-stored"] = Field(
        default="as-written",
        alias="bytes",
        description=(
            "`as-stored`: the server makes another file of what it is sent, as one that re-encodes pictures does. The "
            "first whole file that a `volume` or `direct` path shows after the acknowledgement must be kept, and "
            "shown on every path. Its structure is looked at (PNG, JPEG, GIF, WebP, AVIF, HEIF, PDF); `bytes` and "
            "`text` have none."
        ),
    )
    rows: bool = Field(
        default=True,
        description=(
            "Whether a request of the rule makes, and its delete removes, the row that the `database` path shows; "
            "`false` for one that only keeps the file."
        ),
    )
    cut: int = Field(
        default=0,
        ge=0,
        description=(
            "Of how many files a step the connection is cut in the middle of the content. They are not "
            "acknowledged: afterwards they are whole or not there."
        ),
    )


class PromisePart(Part):
    """What the stack promises for which writes."""

    acknowledged: dict[str, Acknowledgement] = Field(
        default={}, description="For each path that writes, what must have come back before a write counts."
    )
    atomic: dict[str, bool] = Field(
        default={}, description="For each path, whether a reader may only ever see a whole file or none."
    )
    classes: Annotated[tuple[PromiseClass, ...], Field(min_length=1), AfterValidator(_unlike)] = Field(
        default=tuple(PromiseClass), description="What acknowledged writes survive; by default both classes."
    )


class ExpectPart(Part):
    """What must be there besides the files that are written."""

    directories: Annotated[tuple[Directory, ...], AfterValidator(_unlike)] = Field(
        default=(),
        description="Directories that must be there after every event, even one that destroys the data.",
    )
    mode: Mode | None = Field(default=None, description="The mode of those directories, in quotes.")
    ignore: tuple[Text, ...] = Field(default=(), description="Patterns of files that may appear unwritten.")


class KnownPart(Part):
    """A loss that the team knows of: reported each time, and no failure until it is mended."""

    event: Text = Field(description="The event that loses, or one step of it.", examples=["recreate"])
    symptom: Symptom = Field(description="What is then wrong.")
    paths: Annotated[OneOrMany, Field(min_length=1)] | None = Field(
        default=None, description="The paths that may show it; by default all."
    )
    names: Annotated[OneOrMany, Field(min_length=1)] | None = Field(
        default=None,
        description="Patterns of the names that it befalls; by default every name.",
        examples=["uploads/**"],
    )
    why: Text = Field(description="Why it is lost, and what is to be done: reports repeat it.")
    until: Day | None = Field(
        default=None, description="The last day (UTC) on which it is known; from the next on it is a failure."
    )
    mended_after: int = Field(
        default=3,
        description=(
            "After how many steps with its event in a row that do not show it, in this run and in those before it in "
            "the report directory, it counts as mended and must be removed here."
        ),
        ge=1,
        le=1000,
    )


Claims = dict[Text, Text]


@lru_cache(maxsize=4)
def scenario_model(vocabulary: Vocabulary) -> type[BaseModel]:
    """The model of a whole file in which every event is written as `{name: options}`.

    `paths` and `events` have one field for each entry of the tables; see `path_field` and `event_field`.
    """
    paths: dict[str, Any] = {
        f"path_{place}": (kind.config | None, Field(default=None, alias=name, description=kind.summary))
        for place, (name, kind) in enumerate(vocabulary.paths.items())
    }
    events: dict[str, Any] = {
        f"event_{place}": (event.Options | None, Field(default=None, alias=name, description=event.summary))
        for place, (name, event) in enumerate(vocabulary.events.items())
    }
    paths_part = create_model("Paths", __base__=Part, __doc__="The ways to reach the files.", **paths)
    event_part = create_model("Event", __base__=Part, __doc__="One event and its options.", **events)
    events_type: Any = tuple[event_part, ...]  # type: ignore[valid-type]
    return create_model(
        "Scenario",
        __base__=Part,
        __doc__="What is written to a Compose stack, what is done to it, and what must then still be there.",
        stack=(StackPart, Field(description="The Compose project under test.")),
        paths=(paths_part, Field(description="The ways to reach the files, each by the name of its kind.")),
        writes=(
            Annotated[tuple[WritePart, ...], Field(min_length=1)],
            Field(description="What is written in each step, before its event."),
        ),
        promise=(PromisePart, Field(default=PromisePart(), description="What the stack promises.")),
        expect=(ExpectPart, Field(default=ExpectPart(), description="What must be there besides the files.")),
        events=(
            Annotated[events_type, Field(min_length=1)],
            Field(description="What is done to the stack, one step each, in this order."),
        ),
        known=(
            tuple[KnownPart, ...],
            Field(default=(), description="Losses that the team knows of."),
        ),
        claims=(
            Claims,
            Field(
                default_factory=dict,
                description=(
                    "Sentences of the stack's documentation, each with what shows it: a step, a path, "
                    "`writes`, `directories` or `mode`."
                ),
            ),
        ),
    )


class _Plain(GenerateJsonSchema):
    """Without a title for every key: it would only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        """An empty value is an error in a scenario: a key that is not wanted is left out."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        json_schema = super().default_schema(schema)
        if isinstance(json_schema.get("default", ...), dict | NoneType):
            del json_schema["default"]  # left out is what is meant
        return json_schema


def json_schema(vocabulary: Vocabulary | None = None) -> dict[str, Any]:
    """The JSON Schema of a scenario file, for editors: `# yaml-language-server: $schema=…`."""
    words = vocabulary or Vocabulary.installed()
    schema = _model_schema(words)
    definitions: dict[str, Any] = schema["$defs"]
    definitions["Paths"]["minProperties"] = 1
    options = definitions["Event"]["properties"]
    for name, reference in options.items():
        described = {"description": reference["description"]} if "description" in reference else {}
        options[name] = {"anyOf": [{"$ref": reference["$ref"]}, {"type": "null"}], **described}
    entry = definitions["Event"] | {"minProperties": 1, "maxProperties": 1}
    definitions["Event"] = {
        "anyOf": [
            {"oneOf": [{"const": name, "description": each.summary} for name, each in words.events.items()]},
            entry,
        ]
    }
    return {
        "$schema": SCHEMA_ID,
        "title": "Persistence scenario",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _model_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    return scenario_model(vocabulary).model_json_schema(schema_generator=_Plain)


@lru_cache(maxsize=256)
def keys_at(vocabulary: Vocabulary, location: tuple[str | int, ...]) -> dict[str, str]:
    """The keys that a mapping at `location` takes, each with its description; none where any key goes."""
    whole = _cached_schema(vocabulary)
    properties: dict[str, Any] = {}
    schemas = [whole]
    for part in (*location, None):
        schemas = [resolved for schema in schemas for resolved in _alternatives(schema, whole)]
        if part is None:
            for schema in schemas:
                properties |= schema.get("properties", {})
        elif isinstance(part, int):
            schemas = [schema["items"] for schema in schemas if "items" in schema]
        else:
            found = [schema["properties"] for schema in schemas if "properties" in schema]
            schemas = [properties[part] for properties in found if part in properties]
    return {name: str(schema.get("description", "")) for name, schema in properties.items()}


@lru_cache(maxsize=4)
def _cached_schema(vocabulary: Vocabulary) -> dict[str, Any]:
    return _model_schema(vocabulary)


def _alternatives(schema: dict[str, Any], whole: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in schema:
        return _alternatives(whole["$defs"][schema["$ref"].rsplit("/", 1)[1]], whole)
    if "anyOf" in schema:
        return [resolved for each in schema["anyOf"] for resolved in _alternatives(each, whole)]
    return [schema]
