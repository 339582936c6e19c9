"""How many tasks a worker runs at once, between a least and a most number: more while rows wait, fewer when idle."""

from __future__ import annotations

import logging
from typing import Final

from forktask import clock

log = logging.getLogger("forktask.worker")

INTERVAL: Final = 1.0
"""Seconds for which rows have to wait before there are more, so that a few short tasks change nothing."""
CALM: Final = 10.0
"""Seconds without a row that waits after which there are as many as are needed."""


class Scale:
    """The number of processes that are allowed now.

    Attributes:
        now: At most so many run.
    """

    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most
        self.now = least
        self._waits_since: float | None = None
        self._calm_since = clock.monotonic()

    def see(self, *, running: int, more: bool) -> bool:
        """Take in how many run and whether others wait; return True if the number has changed."""
        moment = clock.monotonic()
        before = self.now
        if more and running >= self.now:
            self._calm_since = moment
            self._waits_since = moment if self._waits_since is None else self._waits_since
            if moment - self._waits_since >= INTERVAL:
                self.now = min(self.most, 2 * self.now)
                self._waits_since = None
        else:
            self._waits_since = None
            if running >= self.now:
                self._calm_since = moment
            elif moment - self._calm_since >= CALM:
                self.now = max(self.least, running)
        if self.now != before:
            log.info("processes=%d of %d-%d", self.now, self.least, self.most)
        return self.now != before
