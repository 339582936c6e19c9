"""Databases for tests: each kind that forktask supports, fresh, and gone afterwards."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import OperationalError

KINDS = ("sqlite", "postgresql", "mariadb")
BOTH = KINDS[:2]
"""A file and a server."""

SERVERS = {
    "postgresql": os.environ.get("TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": os.environ.get("TEST_MARIADB_URL", "mariadb+pymysql://root@127.0.0.1:3306/mysql"),
}
"""Where databases may be created and dropped."""


@contextmanager
def database_url(kind: str, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database without our tables, and drop it afterwards.

    A server that does not answer skips the test; with CI=true it fails it.
    """
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path}/forktask-{uuid.uuid4().hex[:8]}.sqlite"
        return
    server = make_url(SERVERS[kind])
    name = f"forktask_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    try:
        order(server, f"CREATE DATABASE {name}")
    except OperationalError as error:
        message = f"{kind} does not answer at {server}: {error.orig}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        order(server, f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgresql" else ""))


def order(server: URL | str, *statements: str) -> None:
    """Run statements on a server, each committed by itself."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
