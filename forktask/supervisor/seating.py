"""Places, and a runner for each order that gets one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from forktask import registry
from forktask.config import Settings
from forktask.host import descent
from forktask.states import StartMethod
from forktask.supervisor.batch import Batch
from forktask.supervisor.charge import Charge
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.order import Order
from forktask.supervisor.relays import Relays

log = logging.getLogger("forktask.supervisor")

Seat = tuple[Order, Charge]
"""An order, and the charge of the runner that is to execute it."""


class Seating:
    """Finds runners for orders, before their rows are claimed."""

    def __init__(self, settings: Settings, fleet: Fleet, supervisor_id: UUID) -> None:
        self.settings = settings
        self.fleet = fleet
        self.relays = Relays(fleet)
        self.supervisor_id = supervisor_id
        self.processes = settings.max_running
        """Most runners of this supervisor alone for what waits in queues; a person waits for what was initiated."""
        self.remaining: int | None = None
        """How many rows may still begin before it ends; None: any number."""
        self.running_elsewhere = 0

    @property
    def _free_on_host(self) -> int:
        return max(0, self.settings.max_running - len(self.fleet.running) - self.running_elsewhere)

    @property
    def free_runners(self) -> int:
        """How many runners may still begin for what waits in queues."""
        free = self._free_on_host
        if self.processes >= self.settings.max_running:
            return free
        of_queues = {charge.pid for charge in self.fleet.under_way.values() if charge.order and charge.order.of_queue}
        return max(0, min(free, self.processes - len(of_queues)))

    @property
    def places(self) -> int:
        """How many orders from queues may still be started."""
        return self._places(self.free_runners)

    @property
    def places_on_host(self) -> int:
        """How many orders may still be started, from queues and initiated."""
        return self._places(self._free_on_host)

    def _places(self, free: int) -> int:
        places = self.relays.wanted(free) if self.relays.are_kept else free
        return places if self.remaining is None else max(0, min(places, self.remaining))

    def _seat(self, orders: list[Order], seated: list[list[Seat]]) -> None:
        """Find a runner for each, in their order, as long as there is one; those of a batch have one together.

        Raises:
            OSError: The kernel refuses a process.
        """
        on_host, in_queues, left = self._free_on_host, self.free_runners, self.remaining
        for number, order in enumerate(orders):
            if left == 0:
                return
            free = min(on_host, in_queues) if order.of_queue else on_host
            if free > 0:
                self._foresee(orders[number : number + free], free)
            companions = order.companions if left is None else order.companions[: left - 1]
            charges = self._charges(order, 1 + len(companions), free)
            if not charges:
                return
            begins = charges[0].number == 0 or self._is_first(charges[0])
            on_host, in_queues = on_host - begins, in_queues - (begins and order.of_queue)
            left = None if left is None else left - len(charges)
            seated.append(list(zip((order, *companions), charges, strict=False)))

    def _charges(self, order: Order, count: int, free: int) -> Sequence[Charge]:
        """Return charges of one runner for an order and, if that can be, for all of its batch.

        Raises:
            OSError: The kernel refuses a process.
        """
        if self._may_be_kept(order):
            charge = self.relays.reserve(free)
            return [charge] if charge is not None else []
        if free <= 0:
            return []
        runner = self.fleet.spawn(order) if self._needs_interpreter(order) else self.fleet.take_spare()
        if count > 1:
            try:
                return Batch(runner, count, descent.page_name(self.supervisor_id)).charges
            except OSError as error:
                log.warning("id=%s is run without the others of its batch: %s", order.id, error)
        return [Charge(runner)]

    def _is_first(self, charge: Charge) -> bool:
        """Return True if a runner that is kept had nothing to do before this."""
        relay = self.relays.of(charge.runner)
        return relay is not None and not relay.charges and relay.reserved == 1

    def _foresee(self, orders: list[Order], free: int) -> None:
        needed = sum(not self._needs_interpreter(order) for order in orders)
        self.fleet.foresee(min(needed, self.relays.lacking(free)) if self.relays.are_kept else needed)

    def _may_be_kept(self, order: Order) -> bool:
        """Return True if its runner may execute others before and after it.

        Not what was initiated: what is left to queues would begin behind it, where they have no place.
        """
        may_wait = order.of_queue and not (order.bound or order.must_begin or registry.batch_of(order.task) > 1)
        return self.relays.are_kept and may_wait and not self._needs_interpreter(order)

    def _needs_interpreter(self, order: Order) -> bool:
        definition = registry.find(order.task)
        of_task = definition.start_method if definition is not None else None
        method = order.start_method or of_task or self.settings.start_method
        return bool(order.shell) or method is StartMethod.SPAWN or not self.fleet.preloaded.can_fork
