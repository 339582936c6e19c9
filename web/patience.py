"""Requests that wait for the end of a task: not too long, and not too many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf

from flask import current_app

from forktask import TaskStatus

MOST = 4
"""Requests of one process that may wait at once; those beyond are answered without waiting."""
MOST_OF_PROGRAMS = 2
"""Of these, how many on behalf of programs, which may ask for the longest time again and again."""


class Seats:
    """Counts the requests of this process that wait, so that threads are left for those that do not."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.taken = 0

    @contextmanager
    def seat(self, most: int) -> Iterator[bool]:
        """Take a seat unless `most` are taken; yield whether there was one."""
        with self._lock:
            free = self.taken < most
            self.taken += free
        try:
            yield free
        finally:
            with self._lock:
                self.taken -= free


def wait_for_end(status: TaskStatus, seconds: float, *, most: int = MOST) -> float:
    """Wait until `status` is final, at most `seconds` and `FORKTASK_MAX_WAIT`; it is as read last afterwards.

    Holds a thread meanwhile and no connection to forktask's database.

    Args:
        most: Requests that may wait at once.

    Returns:
        The seconds that it was ready to wait.

    Raises:
        ValueError: `seconds` is negative or no number.
    """
    if not 0 <= seconds < inf:
        raise ValueError(f"acceptable_wait is {seconds!r}; it is a number of seconds, 0 for none")
    state = current_app.extensions["forktask"]
    with state.seats.seat(most) as free:
        allowed = min(seconds, state.settings.max_wait) if free else 0.0
        if status.is_final:
            return allowed
        if allowed:
            status.wait(allowed)
        else:
            status.refresh()
    return allowed
