"""Dramatiq on Redis."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from _clock import tell
from dramatiq.brokers.redis import RedisBroker

make_broker: Any = RedisBroker
dramatiq.set_broker(make_broker(url=os.environ["BENCHMARK_DRAMATIQ_URL"]))


def _first_line(address: str) -> None:
    tell(address)


def _nothing() -> None:
    """Do nothing at all."""


nothing = dramatiq.actor(_nothing)
first_line = dramatiq.actor(_first_line)
