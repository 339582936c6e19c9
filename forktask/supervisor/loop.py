"""The supervisor's loop: one thread, nothing in it waits but the select."""

from __future__ import annotations

import logging
import os
import selectors
import signal
from functools import partial
from types import FrameType
from typing import Any
from uuid import UUID

from forktask import clock
from forktask.config import Settings
from forktask.errors import StoreError
from forktask.rows import SupervisorRow
from forktask.states import Cause
from forktask.store import Store
from forktask.supervisor.address import Address
from forktask.supervisor.aftermath import Aftermath
from forktask.supervisor.clients import Clients
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.inspection import LOOK_INTERVAL, Inspection
from forktask.supervisor.ledger import Ledger
from forktask.supervisor.order import Order
from forktask.supervisor.orders import Orders
from forktask.supervisor.preload import Preloaded
from forktask.supervisor.sources import Shares
from forktask.supervisor.watching import Watching

log = logging.getLogger("forktask.supervisor")

COLLECT_FOR, COLLECTED = 0.01, 200
"""Seconds for which ends are collected, and most of them, while runners that are kept have more to do."""
REFILL_AFTER = 0.01
"""Seconds from a start to the fork of the next spare, which takes as long as all of the start."""


class Supervisor(Watching):
    """Watches over runners until there is nothing left to do.

    Args:
        me: The row of this supervisor; its `kind` is embedded, private or fork.
        address: Where web processes find it; None for a private one.
        shares: The queues of a worker.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        preloaded: Preloaded,
        me: SupervisorRow,
        address: Address | None,
        shares: Shares | None = None,
    ) -> None:
        self.settings = settings
        self.me = me
        self.address = address
        self.selector = selectors.DefaultSelector()
        self.ledger = Ledger(store)
        self.fleet = Fleet(
            settings=settings,
            store=store,
            preloaded=preloaded,
            supervisor_id=me.id,
            watch=self._watch,
            selector=None if me.kind == "fork" else self.selector,
        )
        self.orders = Orders(settings, self.fleet, self.ledger, me.id)
        self.relays = self.orders.relays
        self.aftermath = Aftermath(self.selector, self.fleet)
        self.orders.tell = self.aftermath.add
        self.inspection = Inspection(me, self.orders, address, shares)
        self.clients = Clients(self.selector, me.id, self.take_message)
        self.stopping, self.exit_code = False, 0
        self._taken = 0
        self._sample_at = self._look_at = self._refill_at = 0.0
        self._idle_since = clock.monotonic()

    def run(self) -> None:
        """Serve until idle or told to stop; then leave nothing behind."""
        self._listen_to_signals()
        if self.address is not None:
            self.clients.listen(self.address.listener)
        self.fleet.prepare()
        log.info("ready kind=%s pid=%d version=%s", self.me.kind, os.getpid(), self.me.version)
        while not self._is_finished():
            for key, _ in self.selector.select(self._patience()):
                if self.selector.get_map().get(key.fd) is key:
                    self._guarded(key.data)
            self._guarded(self._tick)
        self._leave()

    def take_message(self, message: list[Any]) -> None:
        """Act on a message of a web process; see `clients`."""
        if message[0] == "start" and not self.stopping:
            self.orders.take(Order.of_message(message))
        elif message[0] == "due" and not self.stopping:
            self.fleet.learn(message[1])
            self.inspection.look_in_queues()
        elif message[0] == "tell":
            self.aftermath.see(message[1])
        elif message[0] == "look":
            try:
                self.orders.see_held()
                self.inspection.see_requests([UUID(message[1])])
            except StoreError as error:
                self.ledger.note_failure(error)

    def _patience(self) -> float:
        now = clock.monotonic()
        due = [self._look_at]
        if self.fleet.under_way or self.orders.pending or not self.ledger.is_empty:
            due.append(self._sample_at)
        if self.ledger.ends and self.ledger.is_open:
            due.append(self.ledger.ends_since + COLLECT_FOR)
        if self.fleet.lacks_spares and not self.stopping:
            due.append(self._refill_at)
        if self.inspection.opens_at is not None and not self.stopping:
            due.append(self.inspection.opens_at)
        due += [moment for charge in self.fleet.under_way.values() if (moment := charge.next_moment) is not None]
        return max(0.0, min(due) - now)

    def _tick(self) -> None:
        now = clock.monotonic()
        if not self.inspection.registered and self.ledger.is_open:
            self.inspection.register()
        for charge in list(self.fleet.under_way.values()):
            if charge.is_late:
                charge.deadline = None
                charge.begin_stop(Cause.TIMEOUT, self.settings.stop_timeout)
        for relay in self.relays.impatient():
            self.orders.give_back(relay, all_of_them=relay.is_stopping)
        self._guarded(self.orders.give_up_refused)
        for charge in list(self.fleet.under_way.values()):
            charge.advance_stop(self.settings.stop_timeout)
        if self.inspection.registered and self._may_start:
            self._start_pending()
        for charge in list(self.fleet.under_way.values()):
            self._guarded(partial(self._attend, charge.runner))  # what is wrong with one is not for the others to bear
        if (self.ledger.ends and not self._may_collect(now)) or now >= self._sample_at:
            self._sample_at = now + self.settings.sample_interval
            for charge in self.fleet.under_way.values():
                charge.ask_if_silent()
            self._guarded(self._write)
        if now >= self._look_at:
            self._look_at = now + LOOK_INTERVAL
            if self.inspection.registered and self.ledger.is_open:
                self.inspection.look() if not self.stopping else self.inspection.look_at_own()
                if self.address is not None:
                    self.address.keep(self.clients)
        self._refill(now)

    def _refill(self, now: float) -> None:
        """Fork ahead when those that were started have had the processor; at once where more waits than has a place."""
        if self.fleet.taken > self._taken:
            self._taken = self.fleet.taken
            self._refill_at = now + (0.0 if self.orders.more_in_table else REFILL_AFTER)
        if self.fleet.lacks_spares and now >= self._refill_at and not self.stopping:
            self._refill_at = now + LOOK_INTERVAL  # where the kernel refuses one
            self.fleet.refill()
        if not (self.orders.more_in_table or self.orders.pending):
            self.fleet.dismiss_needless()  # whose orders came to nothing

    def _may_collect(self, now: float) -> bool:
        """Return True while runners have more to do, so that more ends can be written at once."""
        is_soon = now < self.ledger.ends_since + COLLECT_FOR and len(self.ledger.ends) < COLLECTED
        return is_soon and bool(self.relays.ahead)

    def _start_pending(self) -> None:
        """Start what waits."""
        if not self.stopping:
            self.inspection.look_if_open()
        self.inspection.start_pending()

    def _write(self) -> None:
        ends, refused = self.ledger.write(list(self.fleet.under_way.values()))
        for end in ends:
            if end.state.is_final:
                self.clients.ended(str(end.status_id))
        self.aftermath.tend(ends, refused)
        for status_id in refused - {end.status_id for end in ends}:
            if (charge := self.fleet.under_way.get(status_id)) is not None:
                charge.give_up()
        if ends:
            self.inspection.follow_up(takes=not self.stopping)

    def _listen_to_signals(self) -> None:
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an application that ignores it would have the kernel reap
        signal.set_wakeup_fd(write)
        self.selector.register(read, selectors.EVENT_READ, lambda: os.read(read, 64))

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    @property
    def _may_start(self) -> bool:
        return not self.stopping

    @property
    def _is_busy(self) -> bool:
        is_watching = self.fleet.under_way or self.aftermath.is_busy
        return bool(is_watching or self.orders.owes or not self.ledger.is_empty)

    def _is_finished(self) -> bool:
        if self.stopping:
            self._withdraw()
            self._end_runners()
            self._settle()
            return not self._is_busy
        return self._is_done()

    def _settle(self) -> None:
        """Give back what was claimed and will not begin."""
        if self.orders.owes and not self._may_start and self.ledger.is_open:
            try:
                self.orders.give_back_doubtful()
            except StoreError as error:
                self.ledger.note_failure(error)

    def _end_runners(self) -> None:
        for charge in self.fleet.under_way.values():
            charge.begin_stop(Cause.INTERRUPTED, self.settings.stop_timeout)

    def _is_done(self) -> bool:
        """Return True if this supervisor, which was not told to end, is needed no more."""
        superseded = self.inspection.neighbours.superseded
        more = self.orders.more_in_table and not superseded
        if self._is_busy or more or self.orders.pending or self.orders.held or self.clients.connected:
            self._idle_since = clock.monotonic()
            return False
        if self.me.kind == "fork":
            return True
        if not superseded and clock.monotonic() - self._idle_since < self.settings.idle_exit:
            return False
        if self.inspection.is_awaited():
            self._idle_since = clock.monotonic()
            return False
        return self.address is None or not self.address.is_wanted(self.clients)

    def _withdraw(self) -> None:
        """Nobody finds us any more: the next web process that has an order starts another supervisor."""
        self.clients.finish()
        if self.address is not None:
            self.address.withdraw()
            self.address = None

    def _leave(self) -> None:
        """End and reap what waits for orders, say in the table that we left."""
        self._withdraw()
        self.fleet.leave(self.relays.retire())
        if self.inspection.registered:
            try:
                self.ledger.store.retire(self.me.id)
            except StoreError as error:
                log.warning("database: %s", error)
        log.info("left pid=%d", os.getpid())
