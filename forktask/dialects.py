"""What differs between databases, from those parts of SQLAlchemy that are loaded for the one in use alone.

To import that of PostgreSQL takes a tenth of the start of a process and two megabytes of each.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy.dialects
from sqlalchemy import Column, Table
from sqlalchemy.sql.dml import Insert

MARIADB = ("mysql", "mariadb")
"""What SQLAlchemy calls it: by the beginning of the URL."""


def part(kind: str) -> Any:
    """Return SQLAlchemy's module for a kind of database.

    It is an attribute of its package, too, where SQLAlchemy looks for it: another thread that imports it has
    perhaps not come that far, though for Python it is imported.
    """
    name = "mysql" if kind in MARIADB else kind
    module = importlib.import_module(f"sqlalchemy.dialects.{name}")
    setattr(sqlalchemy.dialects, name, module)
    return module


def insert_unless_there(kind: str, table: Table, key: Column[Any], values: Mapping[str, Any] | None = None) -> Insert:
    """Return a statement that inserts a row unless another one has one of its keys.

    Args:
        key: A column that keeps its value if there is one.
        values: None: those of the parameters.
    """
    statement = part(kind).insert(table)
    if values is not None:
        statement = statement.values(values)
    if kind in MARIADB:  # not INSERT IGNORE, which would swallow other errors too
        done: Insert = statement.on_duplicate_key_update({key.name: key})
    else:
        done = statement.on_conflict_do_nothing()
    return done
