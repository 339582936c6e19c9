"""What the loop hears of its runners: words, output and ends."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable

from forktask import clock, process
from forktask.rows import End
from forktask.states import Cause
from forktask.supervisor.aftermath import Aftermath
from forktask.supervisor.batch import bequeath
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.ending import conclude
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.ledger import Ledger
from forktask.supervisor.orders import Orders
from forktask.supervisor.relay import Relay
from forktask.supervisor.stop import Stop

log = logging.getLogger("forktask.supervisor")

READS_AT_END = 8
"""What a pipe holds is 64 KiB; more can only come from a grandchild that writes on."""


class Watching:
    """The part of a supervisor that hears its runners."""

    selector: selectors.BaseSelector
    fleet: Fleet
    ledger: Ledger
    orders: Orders
    aftermath: Aftermath

    def _guarded(self, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception:  # whatever goes wrong with one order, the others must be watched on
            log.exception("in the loop")

    def _watch(self, runner: Runner) -> None:
        register = self.selector.register
        register(runner.pidfd, selectors.EVENT_READ, lambda: self._ended(runner))
        register(runner.channel.fileno(), selectors.EVENT_READ, lambda: self._heard(runner))
        register(runner.output.fileno(), selectors.EVENT_READ, lambda: self._drained(runner))

    def _heard(self, runner: Runner) -> None:
        runner.channel.flush()
        self._take_words(runner)
        if runner.channel.closed:
            self._forget(runner.channel.fileno())
        else:
            self._attend(runner)

    def _take_words(self, runner: Runner) -> None:
        relay = self.orders.relays.of(runner)
        for message in runner.channel.messages():
            for charge in runner.addressed(message):
                charge.note(message)
                if relay is not None and charge.goes_on:
                    self._pass_on(relay, charge)

    def _pass_on(self, relay: Relay, charge: Charge) -> None:
        """One attempt is over, and its runner goes on: it has sent all that belongs to it."""
        if not relay.runner.output.has_part:
            relay.runner.output.drain()
        exit = relay.pass_on(charge)
        self._conclude(charge, self._end_of(charge, exit))
        relay.runner.charge = None
        self.orders.relays.begin_next(relay)

    def _attend(self, runner: Runner) -> None:
        """Have the loop wake when the runner reads on, while a long order is not sent whole."""
        key = self.selector.get_map().get(runner.channel.fileno())
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if runner.channel.has_unsent else 0)
        if key is not None and key.events != events:
            self.selector.modify(key.fileobj, events, key.data)

    def _drained(self, runner: Runner) -> None:
        runner.output.drain()
        if runner.output.closed:
            self._forget(runner.output.fileno())

    def _forget(self, descriptor: int) -> None:
        if descriptor in self.selector.get_map():
            self.selector.unregister(descriptor)

    def _ended(self, runner: Runner) -> None:
        """The runner's process is over: collect all that it left, and write its end."""
        for descriptor in (runner.pidfd, runner.channel.fileno(), runner.output.fileno()):
            self._forget(descriptor)
        self._guarded(lambda: runner.output.drain(READS_AT_END))
        self._guarded(lambda: self._take_words(runner))
        exit = process.reap(runner.pid)
        self.fleet.forget(runner)
        if (relay := self.orders.relays.of(runner)) is not None:
            exit = self._ended_kept(relay, exit)
        ends = [(charge, self._end_of(charge, charge.share_of(exit))) for charge in runner.charges]
        for charge, end in bequeath(ends):
            self._conclude(charge, end)
        runner.close()

    def _ended_kept(self, relay: Relay, exit: process.Exit) -> process.Exit:
        """Give back what a runner has not begun; return the share of its last task in how it ended."""
        self._guarded(lambda: self.orders.give_back_of_dead(relay))
        self.orders.relays.forget(relay)
        charge = relay.charges[0] if relay.charges else None
        if charge is None:
            relay.runner.charge = None
        elif relay.runner.was_signalled and charge.stop is None and charge.last_word is None:
            charge.stop = Stop(Cause.INTERRUPTED, clock.monotonic(), [])  # what we sent was for the one before
        return relay.last_exit(exit)

    def _end_of(self, charge: Charge, exit: process.Exit) -> End:
        assert charge.row is not None
        if self.fleet.under_way.get(charge.row.id) is charge:
            del self.fleet.under_way[charge.row.id]
        return conclude(charge, exit, self.ledger.store)

    def _conclude(self, charge: Charge, end: End) -> None:
        assert charge.row is not None
        log.info(
            "ended task=%s id=%s attempt=%d pid=%d state=%s cause=%s exit=%s signal=%s",
            charge.row.task, end.status_id, end.attempt, charge.pid, end.state, end.cause, end.exit_code, end.signal,
        )  # fmt: skip
        if charge.superseded:
            charge.output.rows(charge.row.id, charge.row.attempt, last=True)  # nobody is to have it
            return
        self.ledger.take_output(charge, last=True)
        self.ledger.add(end)
        self._after_end(charge, end)

    def _after_end(self, charge: Charge, end: End) -> None:
        self.orders.after_end(charge, end)
        self.aftermath.note(charge, end)
