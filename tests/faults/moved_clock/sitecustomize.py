"""Moves the wall clock of every Python program that finds this on its path, SQLite's included, as a file says.

The file, which the variable TEST_CLOCK names, holds seconds and may change at any time. The monotonic clock stays.
"""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import Any

_read = (time.time, time.time_ns)
_connect = sqlite3.connect


def shift() -> int:
    """Return by how many seconds the clock is wrong now."""
    return int(Path(os.environ["TEST_CLOCK"]).read_text())


def strftime(form: str, when: str, *modifiers: str) -> str:
    """What SQLite's own function does; but it asks the machine what `now` is."""
    at = (f"{time.time():.6f}", "unixepoch") if when == "now" else (when,)
    arguments = (form, *at, *modifiers)
    database = _connect(":memory:")
    try:
        found: str = database.execute(f"SELECT strftime({', '.join('?' * len(arguments))})", arguments).fetchone()[0]
    finally:
        database.close()
    return found


def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
    """Connect to a database whose clock is moved, too."""
    connection: sqlite3.Connection = _connect(*arguments, **named)
    connection.create_function("strftime", -1, strftime)
    return connection


if "TEST_CLOCK" in os.environ:
    time.time = lambda: _read[0]() + shift()
    time.time_ns = lambda: _read[1]() + shift() * 10**9
    sqlite3.connect = sqlite3.dbapi2.connect = connect  # type: ignore[assignment]
