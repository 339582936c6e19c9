"""The worker: the supervisor in the foreground, which takes from the queues that it is told."""

from __future__ import annotations

import logging
import os
from collections import deque
from dataclasses import replace
from types import FrameType
from typing import Any, Final
from uuid import UUID

from blinker import NamedSignal

from forktask import clock, memory, signals
from forktask.errors import StoreError
from forktask.rows import End
from forktask.states import Cause
from forktask.supervisor.alarm import Alarm
from forktask.supervisor.charge import Charge
from forktask.supervisor.loop import Supervisor
from forktask.supervisor.options import WorkerOptions
from forktask.supervisor.order import Order
from forktask.supervisor.orphans import Orphans
from forktask.supervisor.preload import dispose_engines
from forktask.supervisor.resting import RestingInspection
from forktask.supervisor.scaling import Scale
from forktask.supervisor.showing import show_output
from forktask.supervisor.sources import Shares, why_not

log = logging.getLogger("forktask.worker")

CHECK_INTERVAL: Final = 1.0
"""Seconds between looks at the stop file and at its memory."""

PACE_SECONDS: Final = 0.5
"""Who has freed places for so long keeps as many spares as that were."""

WORDS: Final = ("takes nothing more, and finishes", "interrupts what runs", "kills what runs")


class Worker(Supervisor):
    """A supervisor that an operator, systemd or cron started, and ends."""

    def __init__(self, *, options: WorkerOptions, **known: Any) -> None:
        only = UUID(options.only) if options.only is not None else None
        shares = Shares(weights=options.weights, ignored=frozenset(options.ignored), only=only)
        super().__init__(**known, shares=shares)
        self.options = options
        if self.address is not None:
            self.address.has_log = False  # it is the operator's
        self.scale = Scale(options.processes if options.once else options.least, options.processes)
        self._follow_scale()
        self.orders.remaining = self.fleet.most_needed = options.most_tasks
        self.relays.tasks = options.tasks_per_runner
        self.inspection: RestingInspection = RestingInspection(
            self.me,
            self.orders,
            self.address,
            shares,
            sleep=options.sleep,
            queues=options.weights,
            ignored=options.ignored,
        )
        self.inspection.on_idle = lambda: self._guarded(lambda: self._tell(signals.worker_idle))
        if options.shows_output:
            self.ledger.show = show_output
        self._orphans = Orphans(self.fleet.knows) if os.getpid() == 1 else None
        self._reap_at = 0.0
        self.alarm = Alarm(self.selector, self.ledger.store, options.weights, self._rung)
        self.failures = 0
        self._told = self._said = 0
        self._begun_at = clock.monotonic()
        self._check_at = 0.0
        self._ends: deque[float] = deque(maxlen=options.processes)
        self._leave_at: float | None = None

    def begin(self) -> None:
        """Tell the application, before anything is forked, and let others ring."""
        self._guarded(lambda: self._tell(signals.worker_started))
        dispose_engines()
        self.alarm.hang_bell(self.settings.runtime_dir, self.me.id)

    def _tell(self, signal: NamedSignal) -> None:
        """Call receivers here, in the loop."""
        if signal.receivers:
            with self.fleet.preloaded.context():
                signals.tell(signal, signals.WORKER, queues=[*self.options.weights])

    def _rung(self) -> None:
        if not self.stopping:
            self.inspection.look_in_queues()

    def _tick(self) -> None:
        if self.inspection.registered and self.ledger.is_open and not self.options.is_single:
            self.alarm.listen()
        self._follow_pace()
        super()._tick()
        if not self.stopping and self.scale.see(running=len(self.fleet.running), more=self.orders.more_in_table):
            self._follow_scale()
            self.inspection.look_in_queues()
        self._look_at = min(self._look_at, clock.monotonic() + self.options.sleep)
        if self._orphans is not None and clock.monotonic() >= self._reap_at:
            self._reap_at = clock.monotonic() + CHECK_INTERVAL
            self._orphans.reap()

    def _follow_scale(self) -> None:
        """Run so many, and have no more spares than that."""
        self.orders.processes = self.scale.now
        self.relays.most_idle = self.scale.now
        spares = min(self.settings.spare_runners, self.scale.now)
        self.fleet.settings = replace(self.settings, spare_runners=spares)

    def _follow_pace(self) -> None:
        """Have a spare for each place that became free just now, while more waits: the next soon does, too."""
        since = clock.monotonic() - PACE_SECONDS
        is_hurried = self.settings.spare_runners > 0 and self.orders.more_in_table and not self.relays.are_kept
        freed = sum(moment > since for moment in self._ends) if is_hurried else 0
        self.fleet.hurried = min(freed, self.scale.now, self.settings.max_running)
        self.fleet.most_needed = self.orders.remaining
        self.fleet.dismiss_needless()

    def take_message(self, message: list[Any]) -> None:
        """Take an order that is nowhere else even where it is to end; see `_withdraw`."""
        if self.stopping and message[0] == "start" and (order := Order.of_message(message)).bound:
            self.orders.take(order)
        else:
            super().take_message(message)

    def _withdraw(self) -> None:
        """Leave name and queues to others, and take the orders that were on their way; no more than once."""
        if self.address is not None:
            self.address.withdraw()
            self.address = None
            self.clients.finish()
        self.orders.keep_bound()
        self._leave_queues()
        super()._withdraw()

    def _leave_queues(self) -> None:
        """Say that others may take from our queues; again, until the database has it."""
        if self.me.queues is not None and self.inspection.registered and self.ledger.is_open:
            try:
                self.ledger.store.serve_no_more(self.me.id)
            except StoreError as error:
                self.ledger.note_failure(error)
                return
            self.me = self.inspection.me = self.me._replace(queues=None)
        self.alarm.take_down()

    def _leave(self) -> None:
        super()._leave()
        self.alarm.take_down()
        self._guarded(lambda: self._tell(signals.worker_stopped))

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        """The first one: take nothing more and finish; the second one: interrupt; the third: kill."""
        self._told += 1
        super()._note_signal(number, frame)

    def _end_runners(self) -> None:
        if self._told == 2:
            super()._end_runners()
        elif self._told > 2:
            for charge in self.fleet.under_way.values():
                charge.begin_stop(Cause.INTERRUPTED, 0.0)
                charge.kill()

    def _is_finished(self) -> bool:
        if self._told > self._said:
            self._said += 1
            log.info("told to end (%d): %s", self._said, WORDS[min(self._said, len(WORDS)) - 1])
            if self._said > 2 and self._leave_at is None:
                self._leave_at = clock.monotonic() + self.settings.stop_timeout
        if self.stopping:
            self._give_back()
        if super()._is_finished():
            return True
        if self._leave_at is None or clock.monotonic() < self._leave_at:
            return False
        for end in self.ledger.ends:
            log.error(
                "not written: id=%s attempt=%d state=%s cause=%s", end.status_id, end.attempt, end.state, end.cause
            )
        return True

    def _give_back(self) -> None:
        """Leave to others what lies ready for a runner, and has not begun."""
        for relay in self.relays.with_more():
            self.orders.give_back(relay)
        if self.orders.owes and self.ledger.is_open:
            try:
                self.orders.release()
            except StoreError as error:
                self.ledger.note_failure(error)

    @property
    def _may_start(self) -> bool:
        """What stands in no table is still begun when it was told to end once."""
        return not self.stopping or self._told < 2

    @property
    def _is_busy(self) -> bool:
        kept = self.stopping and self._may_start and (self.orders.pending or self.orders.held)
        return super()._is_busy or bool(kept)

    def _is_done(self) -> bool:
        """Return True if nothing is left to do; from where it is to end it takes nothing more."""
        why = self._seen_outside() or self._missed()
        if not why and self.inspection.registered:
            why = self._why_to_end()
        if not why:
            return False
        log.log(logging.ERROR if self.exit_code else logging.INFO, "takes nothing more: %s", why)
        self.stopping = True
        return self._is_finished()

    def _missed(self) -> str:
        """Say that the database is away for longer than a command that is to end can wait."""
        away = clock.monotonic() - self.inspection.looked_at
        if not self.options.is_single or self._is_busy or away < self.settings.lost_after:
            return ""
        self.exit_code = 1
        return f"the database has been away for {away:.0f} s"

    def _why_to_end(self) -> str:
        options, rounds, idle_for = self.options, self.inspection.idle_rounds, self.inspection.idle_for
        if options.only is not None and rounds > 0 and self.orders.remaining:
            self.exit_code = 1
            return f"{options.only} was not begun: {self._why_not(UUID(options.only))}"
        ways = (
            (options.most_failures is not None and self.failures >= options.most_failures, f"{self.failures} failures"),
            (options.once and self.inspection.rounds > 0 and not self.orders.pending, "one batch was taken"),
            (options.drain and rounds > 0, "nothing is due"),
            (
                self.orders.remaining == 0 and not self.orders.pending and not self.relays.ahead,
                "it has begun all that it was to begin",
            ),
            (options.most_idle is not None and idle_for >= options.most_idle, f"idle for {idle_for:.0f} s"),
        )
        return next((why for is_so, why in ways if is_so), "")

    def _why_not(self, status_id: UUID) -> str:
        try:
            return why_not(self.ledger.store.get(status_id))
        except StoreError as error:
            return str(error)

    def _seen_outside(self) -> str:
        """Look at what needs no database."""
        now = clock.monotonic()
        if self.options.most_seconds is not None and now - self._begun_at >= self.options.most_seconds:
            return "its time is over"
        if now < self._check_at:
            return ""
        self._check_at = now + CHECK_INTERVAL
        if self.options.stop_file is not None and os.path.exists(self.options.stop_file):
            return f"{self.options.stop_file} is there"
        if self.options.most_memory is not None:
            pids = [os.getpid(), *self.fleet.children]  # also those that wait for an order: a task may have filled them
            if (used := memory.used_by(pids)) > self.options.most_memory:
                return f"{used >> 20} MiB are in use"
        return ""

    def _after_end(self, charge: Charge, end: End) -> None:
        super()._after_end(charge, end)
        self._ends.append(clock.monotonic())
        self.inspection.stir()
        if end.cause not in (None, Cause.CANCELLED, Cause.INTERRUPTED):
            self.failures += 1
            if self.options.most_failures is not None and self.failures >= self.options.most_failures:
                self.orders.remaining = 0  # this end frees a place, in which nothing more is to begin
