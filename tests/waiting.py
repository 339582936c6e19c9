"""The one place of the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.01


def wait_until(predicate: Callable[[], T], timeout: float = 10, what: str = "") -> T:
    """Return what `predicate` gives as soon as that is true.

    Args:
        timeout: Seconds.
        what: What is waited for, for the message.

    Raises:
        AssertionError: If it does not come true in time.
    """
    end = time.monotonic() + timeout
    while not (value := predicate()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s in vain for {what or predicate}")
        time.sleep(POLL_SECONDS)
    return value
