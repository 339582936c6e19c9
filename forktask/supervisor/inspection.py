"""The supervisor's own look at the table, about once a second."""

from __future__ import annotations

import logging
from uuid import UUID

from forktask import clock, host, process, registry
from forktask.errors import StoreError
from forktask.proof import LAUNCH_GRACE, Witness, identity_of
from forktask.rows import Request, SupervisorRow
from forktask.sentences import new_reference, sentence
from forktask.states import UNDER_WAY, Cause, State
from forktask.supervisor.address import Address
from forktask.supervisor.charge import Charge
from forktask.supervisor.orders import Orders

log = logging.getLogger("forktask.supervisor")

LOOK_INTERVAL = 1.0
RARE_INTERVAL = 5.0
NEIGHBOUR_GRACE = 10.0
"""Seconds in which a row is left to the supervisor that its starter rang for, which may just be importing."""


class Inspection:
    """Finds what is due, what was asked for, and what is lost."""

    def __init__(self, me: SupervisorRow, orders: Orders, address: Address | None) -> None:
        self.me = me
        self.address = address
        self.orders = orders
        self.settings = orders.settings
        self.store = orders.store
        self.fleet = orders.fleet
        self.witness = Witness(self.store, self.settings.lost_after)
        self.superseded = False
        self.registered = False
        self._rare_at = 0.0
        self._heartbeat_at = 0.0

    def register(self) -> bool:
        """Write who we are; nothing may be claimed before. False while the database is away."""
        try:
            self.store.register(self.me)
            self._count_others()
        except StoreError as error:
            self.orders.ledger.note_failure(error)
            return False
        self.registered = True
        self._heartbeat_at = clock.monotonic()
        return True

    def look(self) -> None:
        """Look at everything that a supervisor has to know from the table."""
        try:
            self._heartbeat()
            self.see_requests(list(self.fleet.under_way))
            if self.me.kind == "embedded":
                self._look_after_others()
            if not self.superseded:
                self.find_due()
        except StoreError as error:
            self.orders.ledger.note_failure(error)

    def find_due(self) -> None:
        """Take rows whose time has come while there are places; only the embedded supervisor's duty."""
        if self.me.kind == "fork":
            return
        self.orders.more_in_table = True
        places = self.orders.free_places
        if places <= 0:
            return
        found = self.store.due(registry.names(), places)
        self.orders.more_in_table = len(found) >= places
        neighbours = self.address is not None and self.address.has_neighbours()
        self.orders.take_due([row for row in found if not (neighbours and self._may_be_for_another(row[0]))])

    def _may_be_for_another(self, status_id: UUID) -> bool:
        """Return True for a young row that we were not rung for: another version or environment may be meant."""
        created_at = (status_id.int >> 80) / 1000  # an id begins with its time (RFC 9562)
        is_young = clock.now().timestamp() - created_at < NEIGHBOUR_GRACE
        return is_young and str(status_id) not in self.orders.left_in_table

    def see_requests(self, status_ids: list[UUID]) -> None:
        """Do what was asked for: cancel, pause, resume; and end runners whose row is no longer ours."""
        charges = {key: self.fleet.under_way[key] for key in status_ids if key in self.fleet.under_way}
        if not charges:
            return
        requests = {request.id: request for request in self.store.requests(list(charges))}
        for status_id, charge in charges.items():
            self._see(charge, requests.get(status_id))

    def _see(self, charge: Charge, request: Request | None) -> None:
        assert charge.row is not None
        if request is None or not self._is_ours(charge, request):
            charge.give_up()
        elif request.cancel_requested_at is not None:
            charge.begin_stop(Cause.CANCELLED, self.settings.stop_timeout)
        elif charge.stop is None:
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

    def _is_superseded(self) -> bool:
        newest = self.store.newest_supervisor(self.me.application, self.me.boot_id)
        return (
            newest is not None
            and newest.version != self.me.version
            and newest.started_at > self.me.started_at
            and process.is_alive(identity_of(newest)) is not False
        )

    def _look_after_others(self) -> None:
        for row in self.store.under_way(not_by=self.me.id):
            self.witness.check(row)
        self._count_others()
        if clock.monotonic() < self._rare_at:
            return
        self._rare_at = clock.monotonic() + RARE_INTERVAL
        self.superseded = self._is_superseded()
        self._retire_the_dead()
        for row in self.store.bound():
            self.witness.check_waiting(row)
        if self._is_alone():
            self._fail_unknown()

    def _is_alone(self) -> bool:
        """Return True if no other supervisor lives, which may know tasks that we do not, and have no place just now."""
        return all(row.id == self.me.id or self.witness.death_of(row.id) for row in self.store.supervisors())

    def _fail_unknown(self) -> None:
        for status_id, attempt, task in self.store.unknown(registry.names(), LAUNCH_GRACE):
            self.store.fail_launch(
                status_id,
                attempt,
                error=sentence(Cause.LAUNCH),
                reference=new_reference(),
                detail=f"no task is registered as {task!r} in {self.fleet.preloaded.reference}; "
                f"known: {', '.join(registry.names())}",
            )

    def _count_others(self) -> None:
        """Note how many runners of other supervisors take up places on this host."""
        if self.me.kind == "embedded":
            running = self.store.count_running(host.boot_id())
            self.orders.running_elsewhere = max(0, running - len(self.fleet.under_way))

    def _retire_the_dead(self) -> None:
        """Say of supervisors that were killed here, and left nothing under way, that they are no more."""
        watching = {row.supervisor_id for row in self.store.under_way()}
        for supervisor in self.store.supervisors():
            if supervisor.id not in watching and process.is_alive(identity_of(supervisor)) is False:
                self.store.retire(supervisor.id)
