"""Procrastinate on PostgreSQL."""

from __future__ import annotations

import os

import procrastinate
from _clock import tell

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCHMARK_PROCRASTINATE_URL"]))


def _first_line(address: str) -> None:
    tell(address)


def _nothing() -> None:
    """Do nothing at all."""


nothing = app.task(name="nothing")(_nothing)
first_line = app.task(name="first_line")(_first_line)
