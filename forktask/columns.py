"""Column types that behave the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import DateTime, Dialect, String, Text, Uuid
from sqlalchemy.types import TypeDecorator

from forktask import dialects
from forktask.states import Cause, StartMethod, State

TEXT_LIMIT = 1_000_000
"""Most characters of an error, a traceback, a message or a piece of log: far below what one packet takes."""


class AwareUTC(TypeDecorator[datetime]):
    """Aware UTC on every database; naive datetimes are refused.

    SQLite and MariaDB hand datetimes back naive, PostgreSQL in the session's zone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Keep microseconds on MariaDB, where they are optional."""
        if dialect.name in dialects.MARIADB:
            return dialect.type_descriptor(dialects.part(dialect.name).DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC, naive where the database has no zones."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function from value to parameter; for SQLite one that takes a sixth of the time."""
        return _text_of_moment if dialect.name == "sqlite" else super().bind_processor(dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function from column to value."""
        return _moment_of_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


MICROSECONDS: Final = len("2026-11-27 04:25:38.105126")
"""Characters of a moment without its zone."""


def _text_of_moment(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    if value.tzinfo is UTC:
        return value.isoformat(" ", "microseconds")[:MICROSECONDS]
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _moment_of_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class Value(TypeDecorator[Any]):
    """The value of a `StrEnum` as a short string, never a native enum (SQLModel would store its name)."""

    impl = String(20)
    cache_ok = True

    def __init__(self, enum: type[State] | type[Cause] | type[StartMethod]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Store the value."""
        return None if value is None else str(self.enum(value).value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Return the member."""
        return None if value is None else self.enum(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Return the function from value to parameter; text is text on each database."""
        return lambda value: self.process_bind_param(value, dialect)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Return the function from column to value."""
        return lambda value: self.process_result_value(value, dialect)


class LongText(TypeDecorator[str]):
    """Text that is written whatever is in it: what an exception or a program said may be anything."""

    impl = Text
    cache_ok = True
    limit = TEXT_LIMIT

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Have room on MariaDB, whose TEXT takes 64 kB."""
        long = dialects.part(dialect.name).LONGTEXT() if dialect.name in dialects.MARIADB else Text()
        return dialect.type_descriptor(long)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store what every database takes."""
        return None if value is None else storable(value, self.limit)


class ShortText(TypeDecorator[str]):
    """Text for people that is cut rather than refused; not for what is compared or looked up."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.limit = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Store what fits."""
        return None if value is None else storable(value, self.limit)


def storable(text: str, limit: int) -> str:
    """Return `text` cut to `limit` characters, without what a database refuses.

    PostgreSQL refuses NUL; a lone surrogate (of a file name that is not UTF-8) has no UTF-8 form.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    if "\0" in text:
        text = text.replace("\0", "")
    return text if len(text) <= limit else text[: limit - 1] + "…"


Id = Uuid(as_uuid=True, native_uuid=True).with_variant(Uuid(as_uuid=True, native_uuid=False), *dialects.MARIADB)
"""Native on PostgreSQL, else 32 hexadecimal digits: before 10.11.5 MariaDB's own type does not sort by time, before
10.7 there is none, and a table outlives an upgrade of its server."""
