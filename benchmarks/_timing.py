"""Taking times: rounds, and the quiet before each call."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

IDLE: Final = 0.025
"""Seconds of idling before each call: in a hot loop everything would be in the processor's caches."""
SMOKE: Final = os.environ.get("BENCHMARK_SMOKE") == "1"
"""Only see whether the benchmark runs."""


def clean_up_when_told_to_end() -> None:
    """Let SIGTERM run what ends workers and drops databases, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))


def rounds(number: int, smoke: int) -> int:
    """Return how many rounds to run."""
    return smoke if SMOKE else number


def each(call: Callable[[], object], times: int) -> list[float]:
    """Return how long each of so many calls took, in seconds, with idling between them."""
    taken = []
    for _ in range(times):
        time.sleep(IDLE)
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return taken
