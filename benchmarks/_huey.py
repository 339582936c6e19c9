"""Huey on Redis."""

from __future__ import annotations

import os

from _clock import tell
from huey import RedisHuey

huey = RedisHuey("benchmark", url=os.environ["BENCHMARK_HUEY_URL"], results=False)


def _first_line(address: str) -> None:
    tell(address)


first_line = huey.task()(_first_line)
