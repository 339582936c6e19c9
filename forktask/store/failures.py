"""Errors of the three drivers as errors of forktask, told apart by whether waiting helps."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import exc

from forktask.errors import StoreError


class StoreUnavailableError(StoreError):
    """The database is away, busy or full: the same call may do later."""

    transient = True


class StoreRefusedError(StoreError):
    """The database, or the type of a column, will never take this."""

    transient = False


class TablesMissingError(StoreRefusedError):
    """The tables are not there."""

    def __init__(self, place: str) -> None:
        self.place = place
        super().__init__(f"there are no tables of forktask in {place}; forktask init creates them")


class TablesDifferError(StoreRefusedError):
    """The tables have other columns or indexes than this version of forktask knows."""

    def __init__(self, text: str) -> None:
        super().__init__(f"the tables are of another version of forktask ({text}); forktask check says what to do")


REFUSED: Final = (exc.ArgumentError, exc.CompileError)
"""Errors of SQLAlchemy itself that no waiting mends."""

REFUSED_CLASSES: Final = frozenset({"IntegrityError", "DataError", "ProgrammingError", "NotSupportedError"})
"""Names of the classes of PEP 249 that blame the statement or its values."""

SQLITE_REFUSED: Final = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
POSTGRESQL_REFUSED: Final = ("22", "23", "42", "54")
"""Classes of SQLSTATE: data, constraint, syntax or name, limit exceeded."""
MARIADB_REFUSED: Final = frozenset({1153, 1366})
"""Packet too large, text the column cannot hold."""

DEADLOCK: Final = frozenset({"40P01", 1213})
"""SQLSTATE of PostgreSQL, error number of MariaDB; the whole transaction is undone."""

MISSING_TABLE: Final = frozenset({"42P01", 1146})
"""SQLSTATE of PostgreSQL, error number of MariaDB."""

MISSING_COLUMN: Final = frozenset({"42703", 1054})
"""SQLSTATE of PostgreSQL, error number of MariaDB."""

MISSING_INDEX: Final = frozenset({1176})
"""Error number of MariaDB, the only one where a statement may name an index."""


def failure(error: Exception) -> StoreUnavailableError | StoreRefusedError:
    """Return what the store raises for an error of the driver."""
    driver = _driver_error(error)
    text = f"{type(driver).__name__}: {driver}".strip()
    if _is_missing_column(driver) or _code(driver) in MISSING_INDEX:
        return TablesDifferError(str(driver).strip())
    return StoreRefusedError(text) if _is_refused(driver) else StoreUnavailableError(text)


def is_missing_table(error: Exception) -> bool:
    """Return True if the tables, or the folder of the file, are not there (yet)."""
    driver = _driver_error(error)
    if isinstance(driver, sqlite3.OperationalError):
        cannot_open = getattr(driver, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF == sqlite3.SQLITE_CANTOPEN
        return cannot_open or str(driver).startswith("no such table")
    return _code(driver) in MISSING_TABLE


def _is_missing_column(driver: BaseException) -> bool:
    if isinstance(driver, sqlite3.OperationalError):
        return str(driver).startswith("no such column") or " has no column named " in str(driver)
    return _code(driver) in MISSING_COLUMN


def is_deadlock(error: Exception) -> bool:
    """Return True if two transactions waited for each other and this one had to give way."""
    return _code(_driver_error(error)) in DEADLOCK


def _driver_error(error: Exception) -> BaseException:
    return error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error


def _is_refused(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        return primary in SQLITE_REFUSED or not isinstance(error, sqlite3.OperationalError)
    code = _code(error)
    if isinstance(code, str) and code.startswith(POSTGRESQL_REFUSED):
        return True
    return code in MARIADB_REFUSED or isinstance(error, REFUSED) or bool(_classes(error) & REFUSED_CLASSES)


def _classes(error: BaseException) -> set[str]:
    return {cls.__name__ for cls in type(error).__mro__}


def _code(error: BaseException) -> str | int | None:
    """Return the SQLSTATE of PostgreSQL or the error number of MariaDB, or None."""
    if (number := next(iter(error.args), None)) is not None and isinstance(number, int):
        return number
    state: str | None = getattr(error, "sqlstate", None)
    return state
