"""Celery as its documentation sets it up: Redis as broker and for results."""

from __future__ import annotations

import os
from typing import Any

from _clock import tell, tell_and_sleep
from celery import Celery

URL = os.environ["BENCHMARK_CELERY_URL"]
app = Celery("_celery", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)


def _first_line(address: str) -> None:
    tell(address)


def _report(self: Any, rounds: int) -> list[float]:
    """Return how long each report took, in seconds."""
    from _timing import each

    meta = {"percent": 50.0, "message": "Importing"}
    return each(lambda: self.update_state(state="PROGRESS", meta=meta), rounds)


def _nothing() -> None:
    """Do nothing at all."""


def _asleep(address: str) -> None:
    tell_and_sleep(address)


asleep = app.task(_asleep, name="asleep")
first_line = app.task(_first_line, name="first_line")
first_line_only = app.task(_first_line, name="first_line_only", ignore_result=True)
nothing = app.task(_nothing, name="nothing")
report = app.task(_report, name="report", bind=True)
