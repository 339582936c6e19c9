"""Huey on Redis, or on SQLite if a file is named."""

from __future__ import annotations

import os

from _clock import tell
from huey import RedisHuey, SqliteHuey

URL = os.environ["BENCHMARK_HUEY_URL"]
huey = (
    RedisHuey("benchmark", url=URL, results=False)
    if URL.startswith("redis:")
    else SqliteHuey("benchmark", filename=URL, results=False)
)


def _first_line(address: str) -> None:
    tell(address)


def _nothing() -> None:
    """Do nothing at all."""


nothing = huey.task()(_nothing)
first_line = huey.task()(_first_line)
