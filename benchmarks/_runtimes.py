"""forktask on each database that answers, everything of it new and gone afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import psutil
from _application import app
from _timing import SMOKE
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import OperationalError

from forktask import Runtime, Settings

SERVERS = {
    "PostgreSQL": os.environ.get("TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "MariaDB": os.environ.get("TEST_MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/mysql"),
}
KINDS = ("SQLite",) if SMOKE else ("SQLite", *SERVERS)

_current: Runtime | None = None
Runtime.use(lambda: _current)


@contextmanager
def runtime(url: str, folder: Path, **settings: Any) -> Iterator[Runtime]:
    """Yield a runtime with a supervisor of its own, which is gone afterwards."""
    given: dict[str, Any] = {
        "database_url": url,
        "runtime_dir": f"{folder}/run",
        "app": "_application:app",
        "idle_exit": 0.5,
    }
    made = Runtime(Settings(**given | settings), application=app, context=app.app_context)
    try:
        yield made
    finally:
        made.doorbell.close()
        while any(row.stopped_at is None and psutil.pid_exists(row.pid) for row in made.store.supervisors()):
            time.sleep(0.05)
        made.close()


def use(chosen: Runtime) -> None:
    """Let the verbs mean this runtime."""
    global _current
    _current = chosen


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the URL of a new database and drop it afterwards.

    Raises:
        OperationalError: The server does not answer.
    """
    if kind == "SQLite":
        yield f"sqlite:///{folder}/{uuid4().hex}.sqlite"
        return
    server = make_url(SERVERS[kind])
    name = f"forktask_benchmark_{uuid4().hex[:12]}"
    _order(server.render_as_string(hide_password=False), f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        _order(server.render_as_string(hide_password=False), f"DROP DATABASE {name}")


def _order(server: str, statement: str) -> None:
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def answering() -> list[str]:
    """Return the kinds of databases that can be had here."""
    found = []
    for kind in KINDS:
        with suppress(OperationalError), TemporaryDirectory() as folder, database(kind, Path(folder)):
            found.append(kind)
    return found


def on_each_database(stack: ExitStack, folder: Path) -> dict[str, Runtime]:
    """Return a runtime on each database that answers, by the name of the database."""
    found = {}
    for kind in KINDS:
        try:
            url = stack.enter_context(database(kind, folder))
        except OperationalError:
            continue
        found[kind] = stack.enter_context(runtime(url, folder))
    return found
