"""Creating and dropping the tables; any number of processes may do it at once."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Dialect, Engine, Table, create_mock_engine, exc, inspect
from sqlalchemy.sql.ddl import CreateIndex, ExecutableDDLElement

from forktask import clock
from forktask.dialects import MARIADB
from forktask.indexes import INDEXES, PARTIAL, WHERE
from forktask.tables import LIVE_STATES, MARIADB_OPTIONS, STATUS, UNIQUE_KEY, UNIQUE_LIVE, metadata

PATIENCE: Final = 30.0
"""Seconds to wait for another process that creates them."""

POSTGRESQL_LOCK: Final = 0x666F726B7461736B
"""Key of the advisory lock: "forktask"."""


def create_tables(engine: Engine) -> None:
    """Create the tables and indexes that are missing, and the folder of an SQLite file."""
    _create_folder(engine)
    _adapt(engine.dialect)
    with engine.connect() as connection, _alone(connection):
        metadata.create_all(connection)
        # Where a table was created and its creator died before the indexes.
        for index in sorted(INDEXES, key=lambda index: str(index.name)):
            index.create(connection, checkfirst=True)
        if connection.dialect.name in MARIADB:
            _keep_unique(connection)


def _adapt(dialect: Dialect) -> None:
    """Give the tables and indexes what this kind of database knows; said with them it would load all kinds."""
    if dialect.name in MARIADB:
        for table in metadata.sorted_tables:
            table.dialect_kwargs.update({f"{dialect.name}_{name}": value for name, value in MARIADB_OPTIONS.items()})
    elif dialect.name in PARTIAL:
        for index in INDEXES:
            if WHERE in index.info:
                index.dialect_kwargs[f"{dialect.name}_where"] = index.info[WHERE]


def drop_tables(engine: Engine) -> None:
    """Drop the tables and all that is in them."""
    _create_folder(engine)
    with engine.connect() as connection, _alone(connection):
        metadata.drop_all(connection)


INDEX_UNIQUE: Final = f"ADD UNIQUE INDEX {UNIQUE_KEY} ({UNIQUE_LIVE})"
KEEP_UNIQUE: Final = (
    f"ALTER TABLE {STATUS.name} ADD COLUMN {UNIQUE_LIVE} VARCHAR(64) "
    f"GENERATED ALWAYS AS (CASE WHEN {LIVE_STATES} THEN unique_key END) VIRTUAL, {INDEX_UNIQUE}"
)
"""Adds what stands for a partial unique index: a column that the database derives, null where the row is final."""


def _keep_unique(connection: Connection) -> None:
    found = inspect(connection)
    if any(index["name"] == UNIQUE_KEY for index in found.get_indexes(STATUS.name)):
        return
    is_derived = any(column["name"] == UNIQUE_LIVE for column in found.get_columns(STATUS.name))
    connection.exec_driver_sql(f"ALTER TABLE {STATUS.name} {INDEX_UNIQUE}" if is_derived else KEEP_UNIQUE)


def statements(url: URL, *, drop: bool = False) -> list[str]:
    """Return the SQL that creates the tables, or drops them, for whoever has the right to."""
    told: list[str] = []

    def note(statement: ExecutableDDLElement, *arguments: object, **named: object) -> None:
        told.append(str(statement.compile(dialect=engine.dialect)).strip())

    engine = create_mock_engine(url, note)
    if drop:
        metadata.drop_all(engine, checkfirst=False)
    else:
        _adapt(engine.dialect)
        metadata.create_all(engine, checkfirst=False)
        if url.get_backend_name() in MARIADB:
            told.append(KEEP_UNIQUE)
    return told


def differences(engine: Engine) -> tuple[list[str], list[str], list[str]]:
    """Return what is missing of tables and columns, columns that are unknown (of a newer version), missing indexes."""
    missing, unknown, indexes = [], [], []
    with engine.connect() as connection:
        found = inspect(connection)
        there = set(found.get_table_names())
        for table in metadata.sorted_tables:
            names = {column["name"] for column in found.get_columns(table.name)} if table.name in there else set()
            known = {column.name for column in table.columns}
            missing += [f"{table.name}.{name}" for name in sorted(known - names)] if names else [table.name]
            unknown += [f"{table.name}.{name}" for name in sorted(names - known - {UNIQUE_LIVE})]
            built = {str(index["name"]) for index in found.get_indexes(table.name)} if names else set()
            indexes += sorted(_indexes_of(table, connection) - built) if names else []
    return missing, unknown, indexes


def _indexes_of(table: Table, connection: Connection) -> set[str]:
    """Return the names of the indexes that a table has on this database."""
    told: set[str] = set()

    def note(statement: ExecutableDDLElement, *arguments: object, **named: object) -> None:
        if isinstance(statement, CreateIndex):
            told.add(str(statement.element.name))

    table.create(create_mock_engine(connection.engine.url, note), checkfirst=False)
    if table is STATUS:
        told.add(UNIQUE_KEY)
    return told


def _create_folder(engine: Engine) -> None:
    path = engine.url.database
    if engine.dialect.name == "sqlite" and path and "uri" not in engine.url.query:
        Path(path).parent.mkdir(parents=True, exist_ok=True)


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Hold a lock that one process has at a time; on SQLite and PostgreSQL in a transaction.

    Raises:
        TimeoutError: Another process has had it for `PATIENCE`.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        _wait_for_wal(connection)
    try:
        end = _take_lock(connection)
        yield
    except BaseException:
        connection.invalidate()  # which takes back what was done, and frees the lock, whatever went wrong
        raise
    connection.exec_driver_sql(end)
    if is_sqlite:
        # Its patience is not for the work of every day.
        connection.invalidate()


def _take_lock(connection: Connection) -> str:
    """Wait for the lock; return the statement that ends the work and gives it back."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return "COMMIT"
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        ask, end = f"SELECT pg_try_advisory_xact_lock({POSTGRESQL_LOCK})", "COMMIT"
    else:
        # A name of the server, not of the database.
        name = "forktask_" + hashlib.sha256((connection.engine.url.database or "").encode()).hexdigest()[:16]
        ask, end = f"SELECT GET_LOCK('{name}', 0)", f"SELECT RELEASE_LOCK('{name}')"
    give_up = clock.monotonic() + PATIENCE
    while not connection.exec_driver_sql(ask).scalar():  # one that waits would be cut off by the connection's timeouts
        if clock.monotonic() > give_up:
            raise TimeoutError(f"another process has been creating the tables for {PATIENCE:g} s")
        clock.sleep(0.02)
    return end


def _wait_for_wal(connection: Connection) -> None:
    """Put the file into WAL; only once, as it stays. SQLite does not wait for its busy timeout here."""
    connection.exec_driver_sql(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")
    give_up = clock.monotonic() + PATIENCE
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL").close()
            return
        except exc.OperationalError as error:
            busy = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or clock.monotonic() > give_up:
                raise
            clock.sleep(0.01)
