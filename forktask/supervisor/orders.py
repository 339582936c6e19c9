"""Orders that were received, and what waits for a place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from uuid import UUID

from forktask import clock, registry
from forktask.config import Settings
from forktask.errors import StoreError
from forktask.proof import runner_of
from forktask.rows import Due, End
from forktask.states import State
from forktask.supervisor.charge import Charge
from forktask.supervisor.claiming import Claiming
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.ledger import Ledger
from forktask.supervisor.order import Order


class Orders(Claiming):
    """Orders that were received, and their start while there are places.

    Orders with arguments ("bound") live here alone: they wait for a place, or are `held` while their row is paused;
    all others also stand in the table and are found there.
    """

    def __init__(self, settings: Settings, fleet: Fleet, ledger: Ledger, supervisor_id: UUID) -> None:
        super().__init__(settings, fleet, ledger, supervisor_id)
        self.more_in_table = False

    def _ready(self) -> list[Order]:
        if not self.pending:
            return []
        now = clock.monotonic()
        unwritten = {str(end.status_id) for end in self.ledger.ends}  # their rows still say that they run
        unsure = unwritten.union(order.id for order, _ in self._doubtful)
        ready = [order for order in self.pending.values() if order.not_before <= now and order.id not in unsure]
        return sorted(ready, key=lambda order: order.of_queue)

    @property
    def free_places(self) -> int:
        """How many places no order waits for that may start now, for what waits in queues."""
        ready = self._ready()
        return min(self.places - sum(order.of_queue for order in ready), self.places_on_host - len(ready))

    @property
    def free_on_host(self) -> int:
        """How many such places there are for what was initiated; the others are among them."""
        return self.places_on_host - len(self._ready())

    def take(self, order: Order) -> None:
        """Note an order; `start_pending` starts it."""
        self.pending[order.id] = order

    def take_due(self, found: Sequence[Sequence[Due]], limited: Collection[str]) -> None:
        """Note rows that were found in the table, those together that are for one runner.

        Args:
            limited: Queues that have a limit.
        """
        for rows in found:
            order = _order_of(rows[0], limited, tuple(_order_of(row, limited) for row in rows[1:]))
            self.pending.setdefault(order.id, order)

    def queue_up(self) -> None:
        """Leave to the table what came after rows that wait there; it is found when it is its turn."""
        for order in list(self.pending.values()):
            if not (order.bound or order.found) and registry.find(order.task) is not None:
                del self.pending[order.id]

    def keep_bound(self) -> None:
        """Leave to the table, and to others, whatever stands there."""
        self.more_in_table = False
        for order in list(self.pending.values()):
            if not order.bound:
                del self.pending[order.id]

    @property
    def has_ready(self) -> bool:
        """True if something is to be started or given back, and the database may be asked."""
        return self.ledger.is_open and bool(self._ready() or self._unreleased or self._doubtful)

    def start_pending(self) -> None:
        """Start what may be started now."""
        try:
            self._settle_doubts()
            ready = self._ready()
            chosen = self._chosen(ready)
            self.release()
            without = self._start(chosen) if chosen else []
            self._keep_waiting([*without, *ready[len(chosen) :]])
        except StoreError as error:
            self.ledger.note_failure(error)

    def _chosen(self, ready: list[Order]) -> list[Order]:
        """Return those at the beginning for which there are places."""
        initiated = sum(not order.of_queue for order in ready)
        return ready[: min(self.places_on_host, initiated + self.places)]

    def give_back_doubtful(self) -> None:
        """Give back what was claimed without an answer: nothing more is to begin."""
        rows = {order.id: self.store.get(order.status_id) for order, _ in self._doubtful}
        seats, self._doubtful = self._doubtful, []
        for order, charge in seats:
            self._dismiss(charge)
            if (row := rows[order.id]) is not None and runner_of(row) == charge.identity:
                self._owe(order, row)
        self.release()

    def _keep_waiting(self, orders: list[Order]) -> None:
        """Without a place: bound orders are kept, and their rows say by whom; the others wait in the table."""
        for order in orders:
            if not order.bound:
                del self.pending[order.id]
                self.more_in_table = True
        new = [order for order in orders if order.bound and order.id not in self._adopted]
        if new:
            self.store.adopt([order.status_id for order in new], self.supervisor_id)
            self._adopted.update(order.id for order in new)

    def keeps(self, status_id: UUID) -> bool:
        """Return True if the order is here, to be started or under way."""
        is_ours = status_id in self.fleet.under_way or status_id in self.relays.ahead
        return is_ours or str(status_id) in self.pending or status_id in self.held

    def see_held(self) -> None:
        """Let bound orders go whose row is no longer paused, and forget those that have ended."""
        if not self.held:
            return
        states = {request.id: request.state for request in self.store.requests(list(self.held))}
        for status_id in list(self.held):
            if states.get(status_id) is State.PAUSED:
                continue
            order = self.held.pop(status_id)
            if states.get(status_id) is State.QUEUED:
                self.take(order)
            else:
                self._drop(order)

    def after_end(self, charge: Charge, end: End) -> None:
        """Keep a bound order whose task is to be run again: its arguments are nowhere else."""
        order = charge.order
        self.freed.update(order.limits if order is not None else ())
        if order is None or not order.bound or end.state is not State.QUEUED:
            return
        delay = (end.run_after - clock.now()).total_seconds() if end.run_after else 0.0
        self.pending[order.id] = replace(order, not_before=clock.monotonic() + delay)


def _order_of(row: Due, limited: Collection[str], companions: tuple[Order, ...] = ()) -> Order:
    return Order(
        id=str(row.id),
        key=row.id,
        task=row.task,
        start_method=row.start_method,
        found=True,
        limit_name=row.limit_name,
        of_queue=row.queue is not None,
        limited_queue=row.queue if row.queue in limited else None,
        unique_until_start=bool(row.unique_until_start),
        given_up=row.unique_key if row.unique_until_start else None,
        companions=companions,
    )
