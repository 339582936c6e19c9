"""From an order to a runner: places, claims, and orders that cannot be started."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from forktask import process, registry, signals
from forktask.config import Settings
from forktask.definition import TaskDefinition
from forktask.errors import StoreError
from forktask.proof import fail_launch, is_runner_of
from forktask.rows import Claim, RunRow
from forktask.states import State
from forktask.supervisor.batch import Part
from forktask.supervisor.charge import Charge
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.ledger import Ledger
from forktask.supervisor.order import Order
from forktask.supervisor.relay import Relay
from forktask.supervisor.relays import MOST_UNBORN
from forktask.supervisor.seating import Seat, Seating

log = logging.getLogger("forktask.supervisor")


class Claiming(Seating):
    """Claims rows for runners and hands them over."""

    def __init__(self, settings: Settings, fleet: Fleet, ledger: Ledger, supervisor_id: UUID) -> None:
        super().__init__(settings, fleet, supervisor_id)
        self.ledger = ledger
        self.store = ledger.store
        self.tell: signals.Tell = signals.tell_nobody
        """Called with each end that is not written by the ledger."""
        self.pending: dict[str, Order] = {}
        self.held: dict[UUID, Order] = {}
        self.freed: Counter[tuple[str, str]] = Counter()
        """What ended lately under each limit, less what has begun there since."""
        self._adopted: set[str] = set()
        self._unreleased: dict[UUID, int] = {}
        self._given_up: dict[UUID, str] = {}
        """The unique keys of those of them that get them back."""
        self._unborn = 0
        """So many runners in a row have ended before they took what they were to execute."""
        self._doubtful: list[Seat] = []
        """Claims of which nobody knows whether they were committed."""

    def _start(self, orders: list[Order]) -> list[Order]:
        """Start them; return those for which there was no place after all."""
        if self.fleet.preloaded.failure:
            self._fail(orders, self.fleet.preloaded.failure)
            return []
        known = [order for order in orders if self._is_known(order)]
        seated: list[list[Seat]] = []
        refusal = None
        try:
            self._seat(known, seated)
        except OSError as error:
            refusal = error
        self._claim([seat for seats in seated for seat in seats])
        left = known[len(seated) :]
        if refusal is None:
            return left
        self._refused(left[:1], refusal)  # the others are tried again
        return []

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

    def _refused(self, orders: list[Order], error: OSError) -> None:
        """The kernel gives no process: while others run it is tried again, with none at all it fails."""
        log.error("cannot start a process: %s", error)
        if not self.fleet.under_way:
            self._fail(orders, f"cannot start a process: {error}")

    def _claim(self, seats: list[Seat]) -> None:
        claims = [
            Claim(
                status_id=order.status_id,
                supervisor_id=self.supervisor_id,
                runner=charge.identity,
                limit_name=order.limit_name,
                limited_queue=order.limited_queue,
            )
            for order, charge in seats
        ]
        try:
            rows = {row.id: row for row in self.store.claim(claims)}
        except StoreError:
            self._doubtful += seats  # it may have been committed, and the answer was lost
            raise
        self._claimed(seats, rows)

    def _settle_doubts(self) -> None:
        """See what became of claims that were not answered."""
        if not self._doubtful:
            return
        rows = {order.id: self.store.get(order.status_id) for order, _ in self._doubtful}
        seats, self._doubtful = self._doubtful, []
        claimed: dict[UUID, RunRow] = {}
        for order, charge in seats:
            row = rows[order.id]
            if row is None or row.supervisor_id != self.supervisor_id or not is_runner_of(row, charge.identity):
                self._dismiss(charge)
            elif process.is_alive(charge.identity):
                claimed[row.id] = row
            else:
                self._owe(order, row)
                if isinstance(charge, Part):
                    charge.batch.drop(charge)
        self._claimed([(order, charge) for order, charge in seats if order.status_id in claimed], claimed)

    def _claimed(self, seats: list[Seat], rows: Mapping[UUID, RunRow]) -> None:
        """Hand the rows over that were claimed."""
        lost: list[RunRow] = []
        for order, charge in seats:
            self.pending.pop(order.id, None)
            row = rows.get(order.status_id)
            definition = registry.find(row.task) if row is not None else None
            if row is None or not is_runner_of(row, charge.identity):  # or it was claimed for another runner, too
                self._dismiss(charge)
                self._hold(order)
            elif definition is None:
                self._dismiss(charge)
                self._owe(order, row)
            elif row.bound and not order.bound:
                self._dismiss(charge)
                self._owe(order, row)
                lost.append(row)
            else:
                if (older := self.fleet.under_way.get(row.id)) is not None:
                    older.give_up()
                self._hand_over(charge, row, order, definition)
        claimed = (charge for _, charge in seats if isinstance(charge, Part) and charge.row is not None)
        for batch in dict.fromkeys(charge.batch for charge in claimed):
            self._guarded(batch.charges[0], batch.hand_over)
        for row in lost:  # last: where the database is away by now, the others have their runners
            self._fail_one(row, "its arguments were handed over once and are stored nowhere")
            del self._unreleased[row.id]
        self.release()

    def _hand_over(self, charge: Charge, row: RunRow, order: Order, definition: TaskDefinition) -> None:
        """Hand the row over; one of a batch when all of that are there."""
        self._adopted.discard(order.id)
        if self.freed:
            self.freed -= Counter(key for key in order.limits if key in self.freed)
        if self.remaining is not None:
            self.remaining -= 1
        relay = self.relays.of(charge.runner)
        if relay is None:
            self.fleet.under_way[row.id] = charge
        if relay is not None:
            self._guarded(charge, partial(self.relays.hand, relay, charge, row, order, definition))
            return
        message = charge.take(row, order, definition)
        if not isinstance(charge, Part):
            self._guarded(charge, lambda: self._begin(charge, message))

    def _begin(self, charge: Charge, message: dict[str, Any]) -> None:
        charge.runner.channel.post(message)
        charge.begin()

    def _guarded(self, charge: Charge, hand_over: Callable[[], None]) -> None:
        """Hand it over; what goes wrong with one must leave no other without its runner."""
        try:
            hand_over()
        except Exception:  # whatever it is, the runner's end tells it
            log.exception("cannot hand over to pid=%d", charge.pid)
            charge.kill()

    def give_back(self, relay: Relay, *, all_of_them: bool = False) -> list[Charge]:
        """Give back the rows that a runner has not begun, and return them; `release` writes it."""
        back = self.relays.take_back(relay, all_of_them=all_of_them)
        for charge in back:
            assert charge.row is not None
            self._unreleased[charge.row.id] = charge.row.attempt
        if self.remaining is not None:
            self.remaining += len(back)
        if back:
            log.info("gave back %d rows that had not begun pid=%d", len(back), relay.runner.pid)
        return back

    def give_back_of_dead(self, relay: Relay) -> None:
        """Give back what a runner left that has ended; the first of it fails if one after the other ends at birth."""
        back = self.give_back(relay, all_of_them=True)
        was_born = relay.runner.page.number > 0 or relay.runner.was_signalled
        self._unborn = 0 if was_born else self._unborn + bool(back)
        if self._unborn >= MOST_UNBORN:
            self._unborn = 0
            self._give_up(back[0], f"{MOST_UNBORN} processes in a row ended before they took an order")

    def give_up_refused(self) -> None:
        """Fail the rows that cannot be handed over to a runner, whatever else was to follow there."""
        for relay in self.relays.stuck():
            error, number = relay.refused, relay.next_unsent
            for charge in self.give_back(relay):
                if charge.number == number and not relay.is_retired:
                    self._give_up(charge, f"cannot hand it over to a process: {error}")

    def _give_up(self, charge: Charge, detail: str) -> None:
        """Fail a row that was given back."""
        assert charge.row is not None
        log.error("cannot start task=%s id=%s: %s", charge.row.task, charge.row.id, detail)
        self._fail_one(charge.row, detail)
        self._unreleased.pop(charge.row.id, None)

    @property
    def owes(self) -> bool:
        """True while the table does not say yet what was given back, or nobody knows what it says."""
        return bool(self._unreleased or self._doubtful)

    def release(self) -> None:
        """Give back rows that were claimed in vain; kept until the database takes it."""
        for status_id, attempt in list(self._unreleased.items()):
            self.store.release(status_id, attempt, self.supervisor_id, unique_key=self._given_up.get(status_id))
            del self._unreleased[status_id]
            self._given_up.pop(status_id, None)

    def _owe(self, order: Order, row: RunRow) -> None:
        """Note that a row is to be given back."""
        self._unreleased[row.id] = row.attempt
        if order.given_up is not None:
            self._given_up[row.id] = order.given_up

    def _dismiss(self, charge: Charge) -> None:
        """A runner whose order came to nothing: one that was forked can wait for the next."""
        if isinstance(charge, Part) and not charge.batch.drop(charge):
            return  # it has others
        if (relay := self.relays.of(charge.runner)) is not None:
            relay.cancel()
        elif charge.runner.forked:
            self.fleet.give_back(charge.runner)
        else:
            charge.runner.channel.hang_up()

    def _drop(self, order: Order) -> None:
        """Forget an order that will not be started."""
        self.pending.pop(order.id, None)
        self._adopted.discard(order.id)

    def _hold(self, order: Order) -> None:
        """Keep an order that could not be claimed, if it is here alone: the row may be paused."""
        if order.bound:
            self.held[order.status_id] = order

    def _fail(self, orders: list[Order], detail: str) -> None:
        for order in orders:
            row = self.store.get(order.status_id)
            if row is not None and row.state is State.QUEUED:
                self._fail_one(row, detail)
            self._drop(order)

    def _fail_one(self, row: RunRow, detail: str) -> None:
        fail_launch(self.store, self.tell, row.task, row.id, row.attempt, detail)
