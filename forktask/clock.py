"""The one clock: aware UTC to store, monotonic seconds to wait. Tests move it with `shift`."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_shift = 0.0


def now() -> datetime:
    """Return the time to store: aware UTC."""
    return datetime.fromtimestamp(time.time() + _shift, UTC)


def monotonic() -> float:
    """Return seconds that never go back; only differences mean anything."""
    return time.monotonic()


def sleep(seconds: float) -> None:
    """Wait; the only place of the library that does nothing on purpose."""
    time.sleep(seconds)


def after(seconds: float) -> datetime:
    """Return the time to store, `seconds` from now."""
    return now() + timedelta(seconds=seconds)


def shift(seconds: float) -> None:
    """Move the wall clock of this process by `seconds` against the machine's; for tests."""
    global _shift
    _shift = seconds
