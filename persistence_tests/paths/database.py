"""Rows of a database that refer to files, read by SQL: which names they have, and what they say of the files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from persistence_tests.duration import Duration
from persistence_tests.errors import EngineUnavailable, StackError, UsageError
from persistence_tests.model.observation import ABSENT, NodeKind, Observation
from persistence_tests.model.records import PathDeclared
from persistence_tests.paths.base import View

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine, Select

    from persistence_tests.stack.stack import Stack

_URL = re.compile(r"postgres(?:ql)?://(?P<who>[^/@]*)@/(?P<database>[^/?#]+)")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_CONNECTING = 5  # seconds
_ANSWERING = 60_000  # milliseconds for each statement
_AT_ONCE = 1000  # rows
_SEVERED = re.compile(r"08|53|57P")  # SQLSTATE: no connection, none left, a server that comes or goes
_NO_TABLE = ("42P01", "3F000")


class Reference(BaseModel):
    """A column that holds names of files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(
        min_length=1,
        description="The table, with its schema where it is in another.",
        examples=["base_company"],
    )
    column: str = Field(min_length=1, description="The column that has the name.", examples=["icon"])
    sha256: str | None = Field(
        default=None, min_length=1, description="The column with the file's SHA-256, hexadecimal or as bytes."
    )
    size: str | None = Field(default=None, min_length=1, description="The column with its size in bytes.")
    under: str = Field(
        default="",
        description="What stands before the name, as the root of the paths has it, and is cut off; what begins "
        "otherwise is no name.",
        examples=["/media/"],
    )
    where: str | None = Field(
        default=None,
        min_length=1,
        description="A condition in SQL: other rows do not count.",
        examples=["deleted_at IS NULL"],
    )


class DatabaseConfig(BaseModel):
    """A database of the stack, and its columns that refer to files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: str = Field(description="The service of the database.")
    port: int = Field(
        default=5432,
        ge=1,
        le=65535,
        description="The port inside the container; the stack need not publish it.",
    )
    url: str = Field(
        description="User, password and database, without a host: the run knows where it is. `${NAME}` stands for a "
        "variable of `stack.env` or of the environment. PostgreSQL only.",
        examples=["postgresql://app:${POSTGRES_PASSWORD}@/app"],
    )
    references: tuple[Reference, ...] = Field(
        min_length=1, description="The columns that refer to files, each read once a pass."
    )
    within: Duration = Field(
        default=15.0,
        description="How long rows that are not yet right, or a server that does not yet answer, are asked again.",
        validate_default=True,
    )
    title: str | None = Field(default=None, description="What reports call this path.")

    @field_validator("url")
    @classmethod
    def _without_a_host(cls, url: str) -> str:
        if not _URL.fullmatch(url):
            raise ValueError(
                'must be like "postgresql://user:${PASSWORD}@/database": no host, no port, no options'
            )
        return url


class DatabasePath:
    """One connection a pass, one query a table, streamed; all tables in one snapshot."""

    def __init__(self, name: str, config: DatabaseConfig, stack: Stack) -> None:
        """Raises UsageError where a variable of the address is not set."""
        self._config, self._stack = config, stack
        address = _URL.fullmatch(config.url)
        assert address is not None
        user, _, password = address["who"].partition(":")
        self._user, self._password, self._database = (
            self._filled(part) for part in (user, password, address["database"])
        )
        stack.secrets.add(self._password)
        self._tables: dict[str, list[Reference]] = {}
        for reference in config.references:
            self._tables.setdefault(reference.table, []).append(reference)
        self._answered: set[str] = (
            set()
        )  # tables that were there once: without one of them, its rows are gone
        self.declared = PathDeclared(
            name,
            kind="database",
            stored=False,
            lists=False,
            while_down=False,
            root=", ".join(f"{each.table}.{each.column}" for each in config.references),
            detail={
                "service": config.service,
                "port": str(config.port),
                **({"title": config.title} if config.title else {}),
            },
            refers=True,
        )
        self.within = config.within

    def observe(self, names: Sequence[str], into: MutableMapping[str, Observation] | None = None) -> View:
        """All rows that refer to files, and of `names` those that none refers to as absent.

        Of several rows with one name the first counts. A server that answered once and does not now is an ERROR for
        each name.
        """
        seen: MutableMapping[str, Observation] = {} if into is None else into
        method = f"SQL as {self._user}"
        try:
            self._read_all(seen)
        except (StackError, EngineUnavailable) as error:
            return self._silent(error.what, names, seen, method)
        except _Failed as error:
            if error.severed:
                return self._silent(str(error), names, seen, method)
            return View({}, method, problem=str(error))
        for name in names:
            if name not in seen:
                seen[name] = ABSENT
        return View(seen, method)

    def read(self, name: str, limit: int) -> bytes:
        """A row has no bytes of the file."""
        return b""

    def close(self) -> None:
        """Nothing is kept open between passes."""

    def _silent(
        self, why: str, names: Sequence[str], seen: MutableMapping[str, Observation], method: str
    ) -> View:
        if not self._answered:  # the scenario may be wrong about it
            return View({}, method, problem=why)
        for name in names:
            seen[name] = Observation(NodeKind.ERROR, error=why)
        return View(seen, method)

    def _read_all(self, seen: MutableMapping[str, Observation]) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        with self._stack.reached(self._config.service, self._config.port) as address:
            engine = _engine(self._address(address))
            try:
                with engine.connect() as connection:
                    for table, references in self._tables.items():
                        self._read_table(connection, table, references, seen)
            except SQLAlchemyError as error:
                raise _Failed(error) from error
            finally:
                engine.dispose()

    def _read_table(
        self,
        connection: Connection,
        table: str,
        references: Sequence[Reference],
        seen: MutableMapping[str, Observation],
    ) -> None:
        from sqlalchemy.exc import ProgrammingError

        try:
            # What a table that is not there breaks off is the savepoint only.
            with (
                connection.begin_nested(),
                connection.execute(
                    _query(table, references), execution_options={"yield_per": _AT_ONCE}
                ) as rows,
            ):
                for row in rows:
                    for name, observation in _named(row, references):
                        if name not in seen:
                            seen[name] = observation
        except ProgrammingError as error:
            if _state(error) in _NO_TABLE and table in self._answered:
                return
            raise
        self._answered.add(table)

    def _address(self, address: tuple[str, int]) -> URL:
        from sqlalchemy import URL

        host, port = address
        return URL.create(
            "postgresql+psycopg", self._user, self._password or None, host, port, self._database
        )

    def _filled(self, text: str) -> str:
        """The text with the values of its variables, which are secrets from now on."""

        def value(found: re.Match[str]) -> str:
            given = self._stack.spec.env.get(found[1], os.environ.get(found[1]))
            if given is None:
                raise UsageError(
                    f"the variable {found[1]} is not set, and the database's address needs it",
                    remedy=f"set {found[1]} in the environment, or under `env` of `stack`",
                )
            return given

        return _VARIABLE.sub(value, text)


class _Failed(Exception):
    """`severed`: no connection, or one that broke off; else the database refused what it was asked."""

    def __init__(self, error: Exception) -> None:
        # After the first line comes where in the query it is.
        super().__init__((str(getattr(error, "orig", None) or error).strip() or repr(error)).splitlines()[0])
        state = _state(error)
        self.severed = state is None or _SEVERED.match(state) is not None


def _state(error: Exception) -> str | None:
    """The SQLSTATE; None where no server said one, as where none answered."""
    state: str | None = getattr(getattr(error, "orig", None), "sqlstate", None)
    return state


def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    options = f"-c statement_timeout={_ANSWERING} -c default_transaction_read_only=on"
    asking = {"connect_timeout": _CONNECTING, "application_name": "persistence-tests", "options": options}
    return create_engine(
        url, poolclass=NullPool, connect_args=asking, isolation_level="REPEATABLE READ", hide_parameters=True
    )


def _query(table: str, references: Sequence[Reference]) -> Select[Any]:
    """For each reference, one after the other: the name, the digest, the size, and whether the row counts."""
    from sqlalchemy import column, literal_column, null, select, true
    from sqlalchemy import table as of_table
    from sqlalchemy.sql import quoted_name

    columns: list[Any] = []
    for number, each in enumerate(references):
        for place, source in enumerate((each.column, each.sha256, each.size)):
            found: Any = column(quoted_name(source, quote=True)) if source else null()
            columns.append(found.label(f"of_{number}_{place}"))
        counts: Any = literal_column(f"({each.where})") if each.where else true()
        columns.append(counts.label(f"of_{number}_counts"))
    schema, _, name = table.rpartition(".")
    source_table = of_table(
        quoted_name(name, quote=True), schema=quoted_name(schema, quote=True) if schema else None
    )
    return select(*columns).select_from(source_table)


def _named(row: Sequence[Any], references: Sequence[Reference]) -> Iterator[tuple[str, Observation]]:
    """The names that one row has, each with what it says of the file."""
    first: str | None = None
    for number, each in enumerate(references):
        value, digest, size, counts = row[4 * number : 4 * number + 4]
        text = "" if value is None else str(value)
        name = text.removeprefix(each.under).strip("/")
        if not counts or not name or not text.startswith(each.under):
            continue
        yield (
            name,
            Observation(
                NodeKind.ROW,
                size=None if size is None else int(size),
                sha256=_hexadecimal(digest),
                row=f"{each.table}.{each.column}",
                beside=first,
            ),
        )
        first = first or name


def _hexadecimal(digest: Any) -> str | None:
    if digest is None:
        return None
    return bytes(digest).hex() if isinstance(digest, bytes | memoryview) else str(digest).strip().lower()
