"""Has an application told of attempts that ended badly, in a process of its own: a receiver may take its time."""

from __future__ import annotations

import logging
import selectors
import signal
from collections.abc import Callable, Collection
from typing import Any, Final
from uuid import UUID

from forktask import clock, hooks, process, signals
from forktask.rows import End
from forktask.states import Cause, State
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.order import Order

log = logging.getLogger("forktask.signals")

PATIENCE: Final = 60.0
"""Seconds that the receivers have for all that they are told at once."""
AT_ONCE: Final = 200
MOST: Final = 10_000
"""Ends that are kept until they can be told."""
READS: Final = 8


class Aftermath:
    """Tells of ends when they stand in the table; costs nothing where no receiver is connected."""

    def __init__(self, selector: selectors.BaseSelector, fleet: Fleet) -> None:
        self.selector = selector
        self.fleet = fleet
        self._noted: dict[tuple[UUID, int], dict[str, Any]] = {}
        self._to_tell: list[dict[str, Any]] = []
        self._teller: Runner | None = None
        self._late_at = 0.0

    @property
    def is_busy(self) -> bool:
        """True while somebody has still to be told."""
        return self._teller is not None or bool(self._to_tell)

    def note(self, charge: Charge, end: End) -> None:
        """Keep an end that is not yet written."""
        is_room = len(self._noted) + len(self._to_tell) < MOST
        if charge.row is not None and signals.of_end(end.state) is not None and is_room:
            key = end.status_id, end.attempt
            self._noted[key] = hooks.described(charge.row.task, end.status_id, end.attempt, end.state, end.cause)

    def add(self, task: str, status_id: UUID, attempt: int, state: State, cause: Cause | None) -> None:
        """Have it told of an end that stands in the table, which no charge of ours had."""
        if signals.of_end(state) is not None:
            self.see(hooks.described(task, status_id, attempt, state, cause))

    def see(self, end: dict[str, Any]) -> None:
        """Have it told of one that another process wrote; see `hooks.checked`, also for what that raises."""
        if len(self._to_tell) < MOST:
            self._to_tell.append(hooks.checked(end))

    def tend(self, ends: Collection[End], refused: Collection[UUID]) -> None:
        """Tell of ends that are dealt with now; not of those that are not in the table, as another one was before."""
        for end in ends if self._noted else ():
            noted = self._noted.pop((end.status_id, end.attempt), None)
            if noted is not None and end.status_id not in refused:
                self._to_tell.append(noted)
        if self._teller is None:
            self._tell()
        elif clock.monotonic() >= self._late_at:
            log.error("receivers take longer than %g s pid=%d", PATIENCE, self._teller.pid)
            self._late_at = clock.monotonic() + PATIENCE
            process.signal_own_group(self._teller.pid, signal.SIGKILL)

    def _tell(self) -> None:
        if not self._to_tell:
            return
        ends, rest = self._to_tell[:AT_ONCE], self._to_tell[AT_ONCE:]
        order = Order(id=ends[0]["id"], task=ends[0]["task"])
        fleet = self.fleet
        try:
            teller = fleet.take_spare() if fleet.preloaded.can_fork else fleet.spawn(order)
        except OSError as error:
            log.error("nobody is told of %d ends: cannot start a process: %s", len(self._to_tell), error)
            self._to_tell.clear()
            return
        self._to_tell, self._teller, self._late_at = rest, teller, clock.monotonic() + PATIENCE
        reap: Callable[[], None] = self.selector.get_key(teller.pidfd).data
        self.selector.modify(teller.pidfd, selectors.EVENT_READ, lambda: self._told(teller, reap))
        teller.channel.post({"ends": ends, "database_url": fleet.store.url})

    def _told(self, teller: Runner, reap: Callable[[], None]) -> None:
        """It is over: what it printed is for the operator."""
        self._teller = None
        try:
            teller.output.drain(READS)
            for row in teller.output.rows(UUID(int=0), 0, last=True):
                log.warning("receivers pid=%d: %s", teller.pid, row.text.rstrip())
        finally:
            reap()
        self._tell()
