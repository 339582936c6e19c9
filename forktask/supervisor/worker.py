"""The worker: the supervisor in the foreground, which takes from the queues that it is told."""

from __future__ import annotations

import logging
import os
import selectors
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final
from uuid import UUID

from forktask import clock, host, memory
from forktask.errors import LaunchError, StoreError
from forktask.rows import End
from forktask.start.bell import Bell
from forktask.states import Cause
from forktask.supervisor.charge import Charge
from forktask.supervisor.loop import Supervisor
from forktask.supervisor.order import Order
from forktask.supervisor.sources import Shares, why_not

log = logging.getLogger("forktask.worker")

CHECK_INTERVAL: Final = 1.0
"""Seconds between looks at the stop file and at its memory."""

WORDS: Final = ("takes nothing more, and finishes", "interrupts what runs", "kills what runs")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker is told; plain values, which go through its exec.

    Attributes:
        weights: Its queues, see `Shares`.
        processes: Most runners at once.
        tasks_per_runner: So many short tasks one runner executes, one after the other, before it leaves.
        ignored: Names of tasks that it leaves alone.
        once: End after one batch: what is due at the first look, at most as many as there are processes.
        drain: End when nothing is due.
        only: The one status to run, before it ends.
        most_tasks: End after so many have begun; so for the others.
        most_seconds: Of its life.
        most_memory: Bytes, of itself and its runners.
        most_failures: Attempts that ended otherwise than completed, cancelled or interrupted.
        most_idle: Looks in a row at which nothing ran and nothing was due.
        stop_file: End when this file is there.
    """

    weights: dict[str, int]
    processes: int
    tasks_per_runner: int = 1
    ignored: list[str] = field(default_factory=list)
    once: bool = False
    drain: bool = False
    only: str | None = None
    most_tasks: int | None = None
    most_seconds: float | None = None
    most_memory: int | None = None
    most_failures: int | None = None
    most_idle: int | None = None
    stop_file: str | None = None

    @property
    def is_single(self) -> bool:
        """True if it is to do what there is now, and end."""
        return self.once or self.drain or self.only is not None

    @property
    def is_limited(self) -> bool:
        """True if it will end by itself."""
        most = (self.most_tasks, self.most_seconds, self.most_memory, self.most_failures, self.most_idle)
        return self.is_single or any(limit is not None for limit in most)


class Worker(Supervisor):
    """A supervisor that an operator, systemd or cron started, and ends."""

    def __init__(self, *, options: WorkerOptions, **known: Any) -> None:
        only = UUID(options.only) if options.only is not None else None
        shares = Shares(weights=options.weights, ignored=frozenset(options.ignored), only=only)
        super().__init__(**known, shares=shares)
        self.options = options
        self.orders.processes = options.processes
        self.orders.remaining = options.most_tasks
        self.relays.tasks = options.tasks_per_runner
        self.bell: Bell | None = None
        self.failures = 0
        self._told = self._said = 0
        self._begun_at = clock.monotonic()
        self._check_at = 0.0
        self._leave_at: float | None = None

    def listen_to_bell(self) -> None:
        """Look at once when somebody on this host leaves a row to one of our queues."""
        try:
            self.bell = Bell(host.private_directory(self.settings.runtime_dir), self.me.id)
        except (OSError, LaunchError) as error:
            log.warning("nobody can ring: %s", error)
            return
        self.selector.register(self.bell.socket, selectors.EVENT_READ, self._rung)

    def _rung(self) -> None:
        if self.bell is not None:
            self.bell.silence()
        if not self.stopping:
            self.inspection.look_in_queues()

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
        self._close_bell()

    def _close_bell(self) -> None:
        if self.bell is not None:
            self._forget(self.bell.socket.fileno())
            self.bell.close()
            self.bell = None

    def _leave(self) -> None:
        super()._leave()
        self._close_bell()

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
        if self.orders.owes:
            return True
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
        options, rounds = self.options, self.inspection.idle_rounds
        if options.only is not None and rounds > 0 and self.orders.remaining:
            self.exit_code = 1
            return f"{options.only} was not begun: {self._why_not(UUID(options.only))}"
        ways = (
            (options.once and self.inspection.rounds > 0 and not self.orders.pending, "one batch was taken"),
            (options.drain and rounds > 0, "nothing is due"),
            (
                self.orders.remaining == 0 and not self.orders.pending and not self.relays.ahead,
                "it has begun all that it was to begin",
            ),
            (options.most_idle is not None and rounds >= options.most_idle, f"{rounds} idle rounds"),
            (options.most_failures is not None and self.failures >= options.most_failures, f"{self.failures} failures"),
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
            pids = [os.getpid(), *(charge.pid for charge in self.fleet.under_way.values())]
            if (used := memory.used_by(pids)) > self.options.most_memory:
                return f"{used >> 20} MiB are in use"
        return ""

    def _after_end(self, charge: Charge, end: End) -> None:
        super()._after_end(charge, end)
        if end.cause not in (None, Cause.CANCELLED, Cause.INTERRUPTED):
            self.failures += 1
