"""From an order to a runner: places, claims, and orders that cannot be started."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from forktask import clock, registry
from forktask.config import Settings
from forktask.errors import StoreError
from forktask.rows import Claim, End, StatusRow
from forktask.sentences import new_reference, sentence
from forktask.states import Cause, StartMethod, State
from forktask.supervisor.charge import Charge, Order
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.ledger import Ledger

log = logging.getLogger("forktask.supervisor")


class Orders:
    """Orders that were received, and their start while there are places.

    Orders with arguments ("bound") live here alone and wait for a place; all others also stand in the
    table and are found there.
    """

    def __init__(self, settings: Settings, fleet: Fleet, ledger: Ledger, supervisor_id: UUID) -> None:
        self.settings = settings
        self.fleet = fleet
        self.ledger = ledger
        self.store = ledger.store
        self.supervisor_id = supervisor_id
        self.pending: dict[str, Order] = {}
        self.more_in_table = False
        self.running_elsewhere = 0
        self.left_in_table: set[str] = set()
        self._adopted: set[str] = set()
        self._unreleased: dict[UUID, int] = {}

    @property
    def places(self) -> int:
        """How many runners may still begin on this host."""
        return max(0, self.settings.max_running - len(self.fleet.under_way) - self.running_elsewhere)

    def _ready(self) -> list[Order]:
        now = clock.monotonic()
        unwritten = {str(end.status_id) for end in self.ledger.ends}  # their rows still say that they run
        return [order for order in self.pending.values() if order.not_before <= now and order.id not in unwritten]

    @property
    def free_places(self) -> int:
        """How many places no order waits for that may start now."""
        return self.places - len(self._ready())

    def take(self, order: Order) -> None:
        """Note an order; `start_pending` starts it."""
        self.pending[order.id] = order

    def take_due(self, found: Sequence[tuple[UUID, str]]) -> None:
        """Note rows that were found in the table, each with its task."""
        for status_id, task in found:
            self.left_in_table.discard(str(status_id))
            self.pending.setdefault(str(status_id), Order(id=str(status_id), task=task))

    def start_pending(self) -> None:
        """Start what may be started now."""
        ready = self._ready()
        if not (ready or self._unreleased) or not self.ledger.is_open:
            return
        chosen = ready[: self.places]
        try:
            self._release()
            if chosen:
                self._start(chosen)
            self._keep_waiting(ready[len(chosen) :])
        except StoreError as error:
            self.ledger.note_failure(error)

    def _keep_waiting(self, orders: list[Order]) -> None:
        """Without a place: bound orders are kept, and their rows say by whom; the others wait in the table."""
        for order in orders:
            if not order.bound:
                del self.pending[order.id]
                self.left_in_table.add(order.id)
                self.more_in_table = True
        new = [order for order in orders if order.bound and order.id not in self._adopted]
        if new:
            self.store.adopt([UUID(order.id) for order in new], self.supervisor_id)
            self._adopted.update(order.id for order in new)

    def _start(self, orders: list[Order]) -> None:
        if self.fleet.preloaded.failure:
            self._fail(orders, self.fleet.preloaded.failure)
            return
        known = [order for order in orders if self._is_known(order)]
        charges: list[tuple[Order, Charge]] = []
        refusal = None
        try:
            for order in known:
                charges.append((order, self._runner_for(order)))
        except OSError as error:
            refusal = error
        self._claim(charges)
        if refusal is not None:
            self._refused(known[len(charges) :], refusal)

    def _is_known(self, order: Order) -> bool:
        """Leave a task that this version does not have to another one, or to the grace of the look."""
        if order.module and registry.find(order.task) is None:
            self.fleet.learn(order.module)
        if registry.find(order.task) is not None:
            return True
        if order.bound:
            self._fail([order], f"no task is registered as {order.task!r} in {self.fleet.preloaded.reference}")
        self.pending.pop(order.id, None)
        return False

    def _runner_for(self, order: Order) -> Charge:
        return self.fleet.spawn(order) if self._needs_interpreter(order) else self.fleet.take_spare()

    def _needs_interpreter(self, order: Order) -> bool:
        definition = registry.find(order.task)
        of_task = definition.start_method if definition is not None else None
        method = order.start_method or of_task or self.settings.start_method
        return bool(order.shell) or method is StartMethod.SPAWN or not self.fleet.preloaded.can_fork

    def _refused(self, orders: list[Order], error: OSError) -> None:
        """The kernel gives no process: while others run it is tried again, with none at all it fails."""
        log.error("cannot start a process: %s", error)
        if not self.fleet.under_way:
            self._fail(orders, f"cannot start a process: {error}")

    def _claim(self, charges: list[tuple[Order, Charge]]) -> None:
        claims = [
            Claim(status_id=UUID(order.id), supervisor_id=self.supervisor_id, runner=charge.identity)
            for order, charge in charges
        ]
        try:
            rows = {row.id: row for row in self.store.claim(claims)}
        except StoreError:
            for _, charge in charges:
                self._dismiss(charge)
            raise
        for order, charge in charges:
            self.pending.pop(order.id, None)
            row = rows.get(UUID(order.id))
            definition = registry.find(row.task) if row is not None else None
            if row is None:
                self._dismiss(charge)
            elif definition is None:
                self._dismiss(charge)
                self._unreleased[row.id] = row.attempt
            elif row.start_method is not None and not order.bound:
                self._dismiss(charge)
                self._fail_one(row, "its arguments were handed over once and are stored nowhere")
            else:
                if (older := self.fleet.under_way.get(row.id)) is not None:
                    older.give_up()
                self.fleet.under_way[row.id] = charge
                charge.begin(row, order, definition)
        self._release()

    def _release(self) -> None:
        """Give back rows that were claimed in vain; kept until the database takes it."""
        for status_id, attempt in list(self._unreleased.items()):
            self.store.release(status_id, attempt)
            del self._unreleased[status_id]

    def _dismiss(self, charge: Charge) -> None:
        """A runner whose order came to nothing: one that was forked can wait for the next."""
        if charge.forked:
            self.fleet.give_back(charge)
        else:
            charge.channel.hang_up()

    def _fail(self, orders: list[Order], detail: str) -> None:
        for order in orders:
            row = self.store.get(UUID(order.id))
            if row is not None and row.state is State.QUEUED:
                self._fail_one(row, detail)
            self.pending.pop(order.id, None)

    def _fail_one(self, row: StatusRow, detail: str) -> None:
        self.store.fail_launch(
            row.id, row.attempt, error=sentence(Cause.LAUNCH), reference=new_reference(), detail=detail
        )

    def after_end(self, charge: Charge, end: End) -> None:
        """Keep a bound order whose task is to be run again: its arguments are nowhere else."""
        order = charge.order
        if order is None or not order.bound or end.state is not State.QUEUED:
            return
        delay = (end.run_after - clock.now()).total_seconds() if end.run_after else 0.0
        self.pending[order.id] = replace(order, not_before=clock.monotonic() + delay)
