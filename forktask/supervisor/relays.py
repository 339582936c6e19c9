"""The runners of one supervisor that are kept for many tasks: who gets the next row, and who gives one back."""

from __future__ import annotations

import contextlib
import logging
from uuid import UUID

from forktask.definition import TaskDefinition
from forktask.rows import RunRow
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.order import Order
from forktask.supervisor.relay import Relay

log = logging.getLogger("forktask.supervisor")

MOST_UNBORN = 3
"""After so many runners that ended before they took an order it is failed."""


class Relays:
    """Runners that execute one order after the other.

    Args:
        tasks: So many each of them is given before it leaves; 1: none is kept.
    """

    def __init__(self, fleet: Fleet, tasks: int = 1) -> None:
        self.fleet = fleet
        self.tasks = tasks
        self.most_idle: int | None = None
        """So many wait for rows, the others leave; None: any number."""
        self.ahead: dict[UUID, Relay] = {}
        """Where rows lie ready that were claimed and have not begun."""
        self._of: dict[int, Relay] = {}
        self._learnt = fleet.learnt

    @property
    def are_kept(self) -> bool:
        """True if runners are kept."""
        return self.tasks > 1

    def of(self, runner: Runner) -> Relay | None:
        """Return a runner as one that is kept; None if it is for one order alone."""
        return self._of.get(runner.pid)

    def wanted(self, free: int) -> int:
        """Return for how many rows there is a place, if so many runners more may begin."""
        self._retire_needless()
        idle = sorted((relay.wanted for relay in self._of.values() if relay.is_idle and relay.room), reverse=True)
        behind = sum(relay.wanted for relay in self._of.values() if not relay.is_idle)
        return behind + sum(idle[:free]) + max(0, free - len(idle))

    def lacking(self, free: int) -> int:
        """Return how many runners have to be forked if so many more may begin."""
        self._retire_needless()
        return max(0, free - sum(relay.is_idle and relay.room > 0 for relay in self._of.values()))

    def reserve(self, free: int) -> Charge | None:
        """Return a place for a row: with a runner that has nothing to do if one may begin, else behind others.

        Raises:
            OSError: The kernel refuses a process.
        """
        self._retire_needless()
        if free > 0:
            idle = (relay for relay in self._of.values() if relay.is_idle and relay.room)
            found: Relay | None = next(idle, None) or self._kept()
        else:
            busy = sorted((relay for relay in self._of.values() if not relay.is_idle), key=lambda relay: relay.load)
            found = next((relay for relay in busy if relay.room), None)
        return found.reserve() if found is not None else None

    def _retire_needless(self) -> None:
        """Have those leave that do not know the tasks of a module learnt since, and those that are too many."""
        if self._learnt != self.fleet.learnt:
            self._learnt = self.fleet.learnt
            self.retire()
        idle = [relay for relay in self._of.values() if relay.is_idle and not relay.is_retired]
        for relay in idle[self.most_idle :]:
            relay.retire()

    def _kept(self) -> Relay:
        """Return a runner to be kept; one that has ended while it waited for orders is passed over.

        Raises:
            OSError: The kernel refuses a process, or one after the other ends at birth.
        """
        for _ in range(MOST_UNBORN):
            with contextlib.suppress(ConnectionError):
                return self._introduced(self.fleet.take_spare())
        raise OSError(f"{MOST_UNBORN} processes in a row ended before they took an order")

    def _introduced(self, runner: Runner) -> Relay:
        try:
            relay = Relay(runner, self.tasks)
        except OSError:
            self.fleet.give_back(runner)
            raise
        try:
            relay.introduce()
        except OSError:
            relay.close()
            runner.channel.hang_up()
            raise
        self._of[runner.pid] = relay
        return relay

    def begin_next(self, relay: Relay) -> None:
        """Have a runner begin with what lies ready, or leave if nothing more is to come."""
        if relay.charges:
            self._begin(relay)
        elif not relay.left and not relay.reserved:
            relay.retire()

    def hand(self, relay: Relay, charge: Charge, row: RunRow, order: Order, definition: TaskDefinition) -> None:
        """Hand a claimed row to a runner, which begins with it if it has nothing else to do."""
        if relay.hand(charge, row, order, definition):
            self._begin(relay)
        else:
            self.ahead[row.id] = relay

    def _begin(self, relay: Relay) -> None:
        """Note that a runner begins with the first of its orders."""
        charge = relay.charges[0]
        assert charge.row is not None
        self.ahead.pop(charge.row.id, None)
        self.fleet.under_way[charge.row.id] = charge
        charge.begin()

    def take_back(self, relay: Relay, *, all_of_them: bool = False) -> list[Charge]:
        """Take back what has not begun, and forget it; the rows are to be released."""
        first = relay.charges[0] if relay.charges else None
        back = relay.take_back(all_of_them=all_of_them)
        for charge in back:
            assert charge.row is not None
            self.ahead.pop(charge.row.id, None)
            if self.fleet.under_way.get(charge.row.id) is charge:
                del self.fleet.under_way[charge.row.id]
        if first in back:  # of which we said that it began
            relay.runner.charge = None
            self.begin_next(relay)
        return back

    def with_more(self) -> list[Relay]:
        """Return those for which something lies ready behind what they execute."""
        return [relay for relay in self._of.values() if len(relay.charges) > 1]

    def impatient(self) -> list[Relay]:
        """Return those in which rows should wait no longer."""
        return [relay for relay in self._of.values() if relay.should_give_back]

    def stuck(self) -> list[Relay]:
        """Put in what can be put in by now; return those that take an order never."""
        stuck = [relay for relay in self._of.values() if relay.next_unsent]
        for relay in stuck:
            relay.flush()
        return [relay for relay in stuck if relay.refused is not None]

    def forget(self, relay: Relay) -> None:
        """Note that a runner was reaped."""
        del self._of[relay.runner.pid]
        relay.close()

    def retire(self) -> list[Runner]:
        """Have all leave when they have nothing left to do; return them."""
        for relay in self._of.values():
            relay.retire()
        return [relay.runner for relay in self._of.values()]
