"""How a worker looks at the table: every second while there is work, and seldom while there is none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Final

from forktask import clock, registry
from forktask.errors import StoreError
from forktask.supervisor.inspection import LOOK_INTERVAL, Inspection

log = logging.getLogger("forktask.worker")

DEFAULT_SLEEP: Final = LOOK_INTERVAL


class RestingInspection(Inspection):
    """Leaves the table alone for a while where it found nothing to do.

    Meanwhile it is woken by whoever leaves something to its queues, and wakes by itself for what has to wait for its
    time. Heartbeats and recurring tasks go on.

    Args:
        sleep: Seconds of a rest.
        queues: Those of the worker.
        ignored: Names of tasks that it leaves alone.
    """

    def __init__(self, *given: Any, sleep: float, queues: Collection[str], ignored: Collection[str]) -> None:
        super().__init__(*given)
        self.sleep = sleep
        self.queues = queues
        self.ignored = frozenset(ignored)
        self.on_idle: Callable[[], None] = lambda: None
        """Called when there is nothing more to do."""
        self._rests_until = 0.0
        self._idle_since: float | None = None

    @property
    def idle_for(self) -> float:
        """Seconds since the first look that found nothing to do after there was something."""
        return 0.0 if self._idle_since is None else clock.monotonic() - self._idle_since

    def stir(self) -> None:
        """Note that there was something to do."""
        self._idle_since = None
        self._rests_until = 0.0

    def look_in_queues(self) -> None:
        """Find what is due at once, since somebody says that there is something."""
        begun = clock.monotonic()
        rested = begun < self._rests_until
        super().look_in_queues()
        if self._has_work or self._is_held_back():
            self.stir()
        elif rested:
            self._rest(begun)  # until then, if it is for a later time

    def look(self) -> None:
        """Look at everything, unless it rests."""
        if clock.monotonic() < self._rests_until and not self._has_work:
            self._rest_on()
            return
        before, begun = self.looked_at, clock.monotonic()
        super().look()
        if self.looked_at == before:
            return  # the database is away
        if self.idle_rounds == 0:
            self.stir()
            return
        self._rest(begun)
        if self._idle_since is None:
            self._idle_since = clock.monotonic()
            log.info("idle")
            self.on_idle()

    @property
    def _has_work(self) -> bool:
        return bool(self.fleet.under_way or self.orders.pending or self.orders.more_in_table)

    def _is_held_back(self) -> bool:
        """Return True if something waits for room under a limit, which nobody may tell us of."""
        try:
            return self.registered and self.sources.holds_back()
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return False

    def _rest_on(self) -> None:
        try:
            self._look_at_own()
            ordered = self.schedules.ordered
            self.schedules.look()
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return
        if self.schedules.ordered > ordered:
            self._rests_until = 0.0

    def _rest(self, begun: float) -> None:
        """Rest until half a second before the time, since the loop comes here once a second.

        Args:
            begun: When the look began that found nothing: what has become due meanwhile calls for another.
        """
        if self.sleep <= LOOK_INTERVAL:
            return
        try:
            since = clock.monotonic() - begun + LOOK_INTERVAL
            due = self.store.next_due(self.queues, {*registry.names()} - self.ignored, since)
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return
        wait = self.sleep if due is None else min(self.sleep, due)
        self._rests_until = clock.monotonic() + wait - LOOK_INTERVAL / 2
