"""From an order to a runner: places, claims, and orders that cannot be started."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from forktask import clock, process, registry
from forktask.config import Settings
from forktask.definition import TaskDefinition
from forktask.errors import StoreError
from forktask.proof import runner_of
from forktask.rows import Claim, Due, End, StatusRow
from forktask.sentences import new_reference, sentence
from forktask.states import Cause, StartMethod, State
from forktask.supervisor.charge import Charge, Order
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.ledger import Ledger

log = logging.getLogger("forktask.supervisor")


class Orders:
    """Orders that were received, and their start while there are places.

    Orders with arguments ("bound") live here alone: they wait for a place, or are `held` while their row is paused;
    all others also stand in the table and are found there.
    """

    def __init__(self, settings: Settings, fleet: Fleet, ledger: Ledger, supervisor_id: UUID) -> None:
        self.settings = settings
        self.fleet = fleet
        self.ledger = ledger
        self.store = ledger.store
        self.supervisor_id = supervisor_id
        self.processes = settings.max_running
        """Most runners of this supervisor alone."""
        self.remaining: int | None = None
        """How many may still begin before it ends; None: any number."""
        self.pending: dict[str, Order] = {}
        self.more_in_table = False
        self.running_elsewhere = 0
        self.held: dict[UUID, Order] = {}
        self._adopted: set[str] = set()
        self._unreleased: dict[UUID, int] = {}
        self._doubtful: list[tuple[Order, Charge]] = []
        """Claims of which nobody knows whether they were committed."""

    @property
    def places(self) -> int:
        """How many runners may still begin."""
        own = len(self.fleet.under_way)
        of_host = self.settings.max_running - own - self.running_elsewhere
        return max(0, min(of_host, self.processes - own, of_host if self.remaining is None else self.remaining))

    def _ready(self) -> list[Order]:
        now = clock.monotonic()
        unwritten = {str(end.status_id) for end in self.ledger.ends}  # their rows still say that they run
        unsure = unwritten.union(order.id for order, _ in self._doubtful)
        return [order for order in self.pending.values() if order.not_before <= now and order.id not in unsure]

    @property
    def free_places(self) -> int:
        """How many places no order waits for that may start now."""
        return self.places - len(self._ready())

    def take(self, order: Order) -> None:
        """Note an order; `start_pending` starts it."""
        self.pending[order.id] = order

    def take_due(self, found: Sequence[Due]) -> None:
        """Note rows that were found in the table."""
        for row in found:
            order = Order(id=str(row.id), task=row.task, start_method=row.start_method, found=True)
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
            chosen = ready[: self.places]
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
                self.more_in_table = True
        new = [order for order in orders if order.bound and order.id not in self._adopted]
        if new:
            self.store.adopt([UUID(order.id) for order in new], self.supervisor_id)
            self._adopted.update(order.id for order in new)

    def keeps(self, status_id: UUID) -> bool:
        """Return True if the order is here, to be started or under way."""
        return str(status_id) in self.pending or status_id in self.held or status_id in self.fleet.under_way

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

    def _drop(self, order: Order) -> None:
        """Forget an order that will not be started."""
        self.pending.pop(order.id, None)
        self._adopted.discard(order.id)

    def _hold(self, order: Order) -> None:
        """Keep an order that could not be claimed, if it is here alone: the row may be paused."""
        if order.bound:
            self.held[UUID(order.id)] = order

    def _start(self, orders: list[Order]) -> None:
        if self.fleet.preloaded.failure:
            self._fail(orders, self.fleet.preloaded.failure)
            return
        known = [order for order in orders if self._is_known(order)]
        charges: list[tuple[Order, Charge]] = []
        refusal = None
        needed = sum(not self._needs_interpreter(order) for order in known)
        try:
            for order in known:
                self.fleet.foresee(needed - sum(charge.forked for _, charge in charges))
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
            self._doubtful += charges  # it may have been committed, and the answer was lost
            raise
        self._claimed(charges, rows)

    def _settle_doubts(self) -> None:
        """See what became of claims that were not answered."""
        if not self._doubtful:
            return
        rows = {order.id: self.store.get(UUID(order.id)) for order, _ in self._doubtful}
        charges, self._doubtful = self._doubtful, []
        claimed: dict[UUID, StatusRow] = {}
        for order, charge in charges:
            row = rows[order.id]
            if row is None or row.supervisor_id != self.supervisor_id or runner_of(row) != charge.identity:
                self._dismiss(charge)
            elif process.is_alive(charge.identity):
                claimed[row.id] = row
            else:
                self._unreleased[row.id] = row.attempt
        self._claimed([(order, charge) for order, charge in charges if UUID(order.id) in claimed], claimed)

    def _claimed(self, charges: list[tuple[Order, Charge]], rows: Mapping[UUID, StatusRow]) -> None:
        """Hand the rows over that were claimed."""
        for order, charge in charges:
            self.pending.pop(order.id, None)
            row = rows.get(UUID(order.id))
            definition = registry.find(row.task) if row is not None else None
            if row is None:
                self._dismiss(charge)
                self._hold(order)
            elif definition is None:
                self._dismiss(charge)
                self._unreleased[row.id] = row.attempt
            elif row.bound and not order.bound:
                self._dismiss(charge)
                self._fail_one(row, "its arguments were handed over once and are stored nowhere")
            else:
                if (older := self.fleet.under_way.get(row.id)) is not None:
                    older.give_up()
                self.fleet.under_way[row.id] = charge
                self._begin(charge, row, order, definition)
        self._release()

    def _begin(self, charge: Charge, row: StatusRow, order: Order, definition: TaskDefinition) -> None:
        """Hand the row over; what goes wrong with one must leave no other without its runner."""
        self._adopted.discard(order.id)
        if self.remaining is not None:
            self.remaining -= 1
        try:
            charge.begin(row, order, definition)
        except Exception:  # whatever it is, the runner's end tells it
            log.exception("cannot hand over id=%s", row.id)
            charge.kill()

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
            self._drop(order)

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
