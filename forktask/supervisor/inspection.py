"""The supervisor's own look at the table, about once a second."""

from __future__ import annotations

import logging
from uuid import UUID

from forktask import clock, host, registry
from forktask.errors import StoreError
from forktask.proof import NEVER_TAKEN, Witness, fail_launch, is_left_alone
from forktask.rows import Request, StatusRow, SupervisorRow
from forktask.start.bell import Workers
from forktask.states import UNDER_WAY, Cause, State
from forktask.supervisor.address import Address
from forktask.supervisor.charge import Charge
from forktask.supervisor.neighbours import Neighbours
from forktask.supervisor.orders import Orders
from forktask.supervisor.schedules import Schedules, source_of
from forktask.supervisor.sources import Shares, Sources

log = logging.getLogger("forktask.supervisor")

LOOK_INTERVAL = 1.0
RARE_INTERVAL = 5.0
COMPANY = 60.0
"""Seconds after the last sight of another supervisor."""


class Inspection:
    """Finds what is due, what was asked for, and what is lost."""

    def __init__(
        self, me: SupervisorRow, orders: Orders, address: Address | None, shares: Shares | None = None
    ) -> None:
        self.me = me
        self.address = address
        self.orders = orders
        self.settings = orders.settings
        self.store = orders.store
        self.fleet = orders.fleet
        self.witness = Witness(self.store, self.settings, orders.tell)
        self._workers = Workers(self.witness, self.settings.runtime_dir)
        self.neighbours = Neighbours(me, self.store, self.witness, address)
        self.sources = Sources(me, self.store, self.neighbours, shares)
        self.is_alone = me.kind == "fork"
        self.schedules = Schedules(self.store, source_of(me, self.fleet.preloaded), self._workers.wake)
        self.registered = False
        self.looked_at = clock.monotonic()
        """When the table was last read to the end; at first: when it began to try."""
        self.rounds = self.idle_rounds = 0
        """Looks for what is due, about one a second; the last ones in a row at which there was nothing to do."""
        # Not at once: the messages that came while the application was imported are read first.
        self._rare_at = clock.monotonic() + RARE_INTERVAL
        self._company_until = 0.0
        self.opens_at: float | None = None
        """When a rate lets something begin that waits."""
        self._heartbeat_at = 0.0
        self._has_room = False
        """What was found takes fewer places than there are, since batches were made of it."""

    def register(self) -> bool:
        """Write who we are; nothing may be claimed before. False while the database is away."""
        try:
            self.store.register(self.me)
            if not self.is_alone:
                self.neighbours.see()
                self._count_others()
                self.sources.see()
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return False
        self.registered = True
        self._heartbeat_at = self.looked_at = clock.monotonic()
        return True

    def look(self) -> None:
        """Look at everything that a supervisor has to know from the table."""
        try:
            self._look_at_own()
            if not self.is_alone:
                self._look_after_others()
                if not self.neighbours.superseded:
                    self.schedules.look()
                self.sources.see()  # also what a schedule has just ordered
            if not self.neighbours.superseded:
                self.find_due()
            self.rounds += 1
            is_idle = not (self.fleet.under_way or self.orders.pending or self.orders.more_in_table)
            self.idle_rounds = self.idle_rounds + 1 if is_idle and not self.sources.holds_back() else 0
            self.looked_at = clock.monotonic()
        except StoreError as error:
            self.orders.ledger.note_failure(error)

    def look_at_own(self) -> None:
        """Look at nothing but what is here: who was told to end says that it lives until all of it has ended."""
        try:
            self._look_at_own()
        except StoreError as error:
            self.orders.ledger.note_failure(error)

    def _look_at_own(self) -> None:
        self._heartbeat()
        self.see_requests([*self.fleet.under_way, *self.orders.relays.ahead])
        self.orders.see_held()

    def find_due(self, *, always: bool = True) -> None:
        """Take rows whose time has come while there are places; not where one order is all that there is to do.

        Args:
            always: Look for what was initiated though queues have no place, and nobody says that there is any.
        """
        if self.is_alone:
            return
        self.orders.more_in_table = True
        places, on_host = self.orders.free_places, self.orders.free_on_host
        if on_host <= 0:
            self.sources.more_initiated = True
            return
        if places <= 0 and not (always or self.sources.more_initiated):
            return
        found = self.sources.due(max(0, places), self.orders.free_runners, on_host)
        opens_in = self.sources.rooms.opens_in
        self.opens_at = None if opens_in is None else clock.monotonic() + opens_in
        self.orders.more_in_table = self.sources.was_full
        self.orders.take_due(found, self.sources.rooms.limited)
        self._has_room |= len(found) < places and self.sources.was_full

    def look_in_queues(self) -> None:
        """Find what is due at once, since somebody says that there is something."""
        if not self.registered:
            return
        try:
            self.sources.see()
            self.find_due()
        except StoreError as error:
            self.orders.ledger.note_failure(error)

    def look_if_open(self) -> None:
        """Find what is due if a rate lets something begin that it kept back."""
        if self.opens_at is not None and clock.monotonic() >= self.opens_at:
            self.opens_at = None
            self._find_due_guarded()

    def follow_up(self, *, takes: bool) -> None:
        """Start what follows ends that are written: there is a place, and perhaps room under a limit.

        What nobody takes here, others may, who are told.

        Args:
            takes: We do; else all is left to others.
        """
        if takes and (self.orders.more_in_table or self.sources.rooms.may_open):
            self._find_due_guarded(always=False)
            self.start_pending()
        freed = list(+self.orders.freed)
        self.orders.freed.clear()
        if freed and not self.is_alone:
            try:
                if self.sources.rooms.are_awaited(freed):
                    self._workers.ring_others(self.me.id)
            except StoreError as error:
                self.orders.ledger.note_failure(error)

    def _find_due_guarded(self, *, always: bool = True) -> None:
        try:
            self.find_due(always=always)
        except StoreError as error:
            self.orders.ledger.note_failure(error)

    def start_pending(self) -> None:
        """Start what may be started now; one supervisor of this host at a time counts the places and takes them."""
        if not self.orders.has_ready:
            return
        if self.orders.more_in_table and not self.is_alone and not self.neighbours.superseded:
            self.orders.queue_up()
            self._find_due_guarded()
        if self.address is None or not self._has_company(self.address):
            self._start()
            return
        with self.address.turn() as mine:
            if not mine:
                return
            try:
                self._count_others()
            except StoreError as error:
                self.orders.ledger.note_failure(error)
            else:
                self._start()

    def _start(self) -> None:
        """Start what is pending, and then what was not found since others of a batch were found before it."""
        self.orders.start_pending()
        while self._has_room and (before := self.orders.free_places) > 0:
            self._has_room = False
            self._find_due_guarded()
            self.orders.start_pending()
            self._has_room &= self.orders.free_places < before

    def _has_company(self, address: Address) -> bool:
        """Return True if others may run tasks here; one that was told to end still does after it has left its name."""
        if address.neighbours():
            self._company_until = clock.monotonic() + COMPANY
        return clock.monotonic() < self._company_until

    def is_awaited(self) -> bool:
        """Return True if a row waits, now or for a later time, that nobody else would start."""
        try:
            if self.is_alone or self.neighbours.superseded:
                return False
            self.sources.see()
            return self.sources.is_awaited()
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return False

    def see_requests(self, status_ids: list[UUID]) -> None:
        """Do what was asked for: cancel, pause, resume; and end runners whose row is no longer ours."""
        charges = {key: self.fleet.under_way[key] for key in status_ids if key in self.fleet.under_way}
        ahead = [key for key in status_ids if key in self.orders.relays.ahead]
        if not charges and not ahead:
            return
        requests = {request.id: request for request in self.store.requests([*charges, *ahead])}
        for status_id, charge in charges.items():
            self._see(charge, requests.get(status_id))
        for status_id in ahead:
            relay = self.orders.relays.ahead.get(status_id)
            if relay is not None and not self._may_begin(requests.get(status_id)):
                self.orders.give_back(relay)  # and what else lies ready there, which is due again at once

    def _may_begin(self, request: Request | None) -> bool:
        """Return True if nothing was asked for of a row that lies ready for a runner."""
        asked = request is None or request.cancel_requested_at is not None or request.pause_requested_at is not None
        return not asked and request is not None and request.supervisor_id == self.me.id

    def _see(self, charge: Charge, request: Request | None) -> None:
        assert charge.row is not None
        if request is None or not self._is_ours(charge, request):
            charge.give_up()
        elif request.cancel_requested_at is not None:
            charge.begin_stop(Cause.CANCELLED, self.settings.stop_timeout)
        elif charge.stop is None and charge.may_pause:
            self._see_pause(charge, request)

    def _see_pause(self, charge: Charge, request: Request) -> None:
        """Stop the runner or let it go on; the row may follow at a later look, if the database is away."""
        wanted = request.pause_requested_at is not None
        if wanted != (charge.paused_at is not None):
            if wanted:
                charge.pause()
            else:
                charge.resume()
        if wanted != (request.state is State.PAUSED):
            self.store.set_paused(request.id, request.attempt, wanted)

    def _is_ours(self, charge: Charge, request: Request) -> bool:
        assert charge.row is not None
        return (
            request.attempt == charge.row.attempt and request.state in UNDER_WAY and request.supervisor_id == self.me.id
        )

    def _heartbeat(self) -> None:
        if clock.monotonic() - self._heartbeat_at >= self.settings.heartbeat_interval:
            if not self.store.heartbeat(self.me.id):
                self.store.register(self.me)
            self._heartbeat_at = clock.monotonic()

    def _look_after_others(self) -> None:
        for row in self.store.under_way(not_by=self.me.id):
            self.witness.check(row)
        self._count_others()
        if clock.monotonic() < self._rare_at:
            return
        self._rare_at = clock.monotonic() + RARE_INTERVAL
        self.neighbours.see()
        for row in self.store.bound():
            self._check_bound(row)
        self._fail_unknown()

    def _check_bound(self, row: StatusRow) -> None:
        """Give up what cannot be started any more: of our own rows we know whether the order ever came."""
        if self.address is None or row.destination != self.me.name or row.supervisor_id is not None:
            self.witness.check_waiting(row)
        elif is_left_alone(row) and not self.orders.keeps(row.id):
            self.witness.give_up(row, NEVER_TAKEN)

    def _fail_unknown(self) -> None:
        """Only those of our application; those of nobody while no other lives, which may know them."""
        found = self.store.unknown(self.neighbours.scope(), of_nobody=self.neighbours.alone)
        for status_id, attempt, task in found:
            detail = f"no task is registered as {task!r} in {self.fleet.preloaded.reference}; "
            detail += f"known: {', '.join(registry.names())}"
            fail_launch(self.store, self.orders.tell, task, status_id, attempt, detail)

    def _count_others(self) -> None:
        """Note how many runners of other supervisors take up places on this host."""
        own = len(
            self.fleet.running.union(end.pid for end in self.orders.ledger.ends)
        )  # ended, but the table does not say so yet
        self.orders.running_elsewhere = max(0, self.store.count_running(host.boot_id()) - own)
