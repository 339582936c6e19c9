"""One runner under watch: a spare until it has a row."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from forktask import clock, memory, process
from forktask.capture import OutputReader
from forktask.channel import Channel
from forktask.definition import TaskDefinition
from forktask.estimate import Pace, share_of
from forktask.live import WARNING_LIMIT
from forktask.phases import Phase
from forktask.progress import Page, Report
from forktask.rows import Sample, StatusRow
from forktask.runner import ASKED
from forktask.states import Cause, StartMethod

log = logging.getLogger("forktask.supervisor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be started: the row, and what only its starter knows.

    Attributes:
        module: Where the caller has the task; empty if the order comes from the table.
        shell: Shell arguments; the reason for start method `spawn`.
        private: Private arguments; never leave the memory of the processes they are handed to.
        found: It was found in the table, where it was its turn.
        not_before: Monotonic time of the next attempt, for orders kept here during a backoff.
    """

    id: str
    task: str
    module: str = ""
    start_method: StartMethod | None = None
    shell: tuple[str, ...] = ()
    private: dict[str, Any] = field(default_factory=dict)
    bound: bool = False
    found: bool = False
    not_before: float = 0.0

    @classmethod
    def of_message(cls, message: list[Any]) -> Order:
        """Return what a web process orders: `["start", id, task, arguments]`."""
        arguments = message[3] if len(message) > 3 else {}
        method = arguments.get("start_method")
        return cls(
            id=message[1],
            task=message[2],
            module=arguments.get("module", ""),
            start_method=StartMethod(method) if method else None,
            shell=tuple(arguments.get("shell", ())),
            private=arguments.get("private", {}),
            bound=bool(arguments.get("bound")),
        )


@dataclass(slots=True)
class Stop:
    """How a runner is being ended: ask, SIGTERM after a grace, SIGKILL after another."""

    cause: Cause
    next_step_at: float
    steps: list[Callable[[], None]]


class Charge:
    """A runner and all that its supervisor holds of it."""

    def __init__(self, *, pid: int, page: Page, channel: Channel, output: OutputReader, forked: bool) -> None:
        self.pid = pid
        self.forked = forked
        self.identity = process.identify(pid)
        self.pidfd = os.pidfd_open(pid)
        self.page = page
        self.channel = channel
        self.output = output
        self.row: StatusRow | None = None
        self.order: Order | None = None
        self.definition: TaskDefinition | None = None
        self.last_word: dict[str, Any] | None = None
        self.warnings: list[str] = []
        self.phases: list[Phase] | None = None
        self.checkpoint: Any = None
        self.unwritten: set[str] = set()
        self.seen_version = 0
        self.stop: Stop | None = None
        self.superseded = False
        self.paused_at: float | None = None
        self.paused_seconds = 0.0
        self.begun_at = 0.0
        self.pace = Pace()
        self.deadline: float | None = None
        self.memory_kills = 0

    def begin(self, row: StatusRow, order: Order, definition: TaskDefinition) -> None:
        """Hand the claimed row to the runner: from here on it is no spare."""
        self.row, self.order, self.definition = row, order, definition
        self.begun_at = clock.monotonic()
        if definition.timeout is not None:
            self.deadline = clock.monotonic() + definition.timeout
        self.channel.post(
            {
                "id": str(row.id),
                "task": row.task,
                "settings": row.settings,
                "attempt": row.attempt,
                "checkpoint": row.checkpoint,
                "shell": order.shell,
                "private": order.private,
            }
        )
        self.memory_kills = memory.out_of_memory_kills()  # reading it takes longer than sending
        log.info("started task=%s id=%s attempt=%d pid=%d", row.task, row.id, row.attempt, self.pid)

    def hear(self) -> None:
        """Take in what the runner has sent."""
        for message in self.channel.messages():
            word = message.get("word") if isinstance(message, dict) else None
            if word is None:
                log.warning("pid=%d said what no runner says", self.pid)
            elif word == "warning":
                self.warnings[WARNING_LIMIT - 1 :] = [message["value"]]
                self.unwritten.add("warnings")
            elif word == "phases":
                self.phases = message["value"]
                self.unwritten.add("phases")
            elif word == "checkpoint":
                self.checkpoint = message["value"]
                self.unwritten.add("checkpoint")
            else:
                self.last_word = message

    def sample(self, *, always: bool = False) -> tuple[int, Sample] | None:
        """Return the version of the page and what changed since the last write, or None."""
        if self.row is None:
            return None
        found = self.page.read()
        version, report = found if found is not None else (0, None)
        if version == self.seen_version and not self.unwritten and not always:
            return None
        pace = self._pace_after(report)
        return version, Sample(
            status_id=self.row.id,
            attempt=self.row.attempt,
            percent=report.percent if report else None,
            message=report.message if report else None,
            done=report.done if report else None,
            total=report.total if report else None,
            unit=report.unit if report else None,
            active_seconds=self.active_seconds,
            pace_low=pace[0],
            pace_high=pace[1],
            warnings=self.warnings if "warnings" in self.unwritten else None,
            phases=self.phases if "phases" in self.unwritten else None,
            checkpoint=self.checkpoint if "checkpoint" in self.unwritten else None,
        )

    def _pace_after(self, report: Report | None) -> tuple[float, float] | tuple[None, None]:
        try:
            if report is not None and (share := share_of(report.percent, report.done, report.total)) is not None:
                self.pace.add(self.active_seconds, share)
            return self.pace.range() or (None, None)
        except Exception:  # an estimate must cost neither a sample nor an end
            log.exception("cannot estimate the rest of pid=%d", self.pid)
            return None, None

    @property
    def active_seconds(self) -> float:
        """How long the attempt has run, paused time left out."""
        until = clock.monotonic() if self.paused_at is None else self.paused_at
        return until - self.begun_at - self.paused_seconds

    def ask_if_silent(self) -> None:
        """Ask the runner if it has said nothing new while a loop of its may have gone on."""
        if self.row is None or self.paused_at is not None or not self.page.may_be_behind:
            return
        found = self.page.read()
        if found is not None and found[0] == self.seen_version:
            with contextlib.suppress(OSError):  # no descriptor left: it is asked again at the next sample
                process.send_signal(self.identity, ASKED)

    def written(self, version: int) -> None:
        """Note that the sample of this version is in the table."""
        self.seen_version = version
        self.unwritten.clear()

    def begin_stop(self, cause: Cause, grace: float) -> None:
        """Begin to end the runner; what began first is the cause."""
        if self.stop is not None or self.row is None:
            return
        log.info("stopping task=%s id=%s pid=%d cause=%s", self.row.task, self.row.id, self.pid, cause)
        steps = [self._terminate, self.kill]
        if cause is Cause.CANCELLED and self.paused_at is None:
            steps.insert(0, self.page.request_cancel)
        self.stop = Stop(cause, clock.monotonic(), steps)
        self.advance_stop(grace)

    def advance_stop(self, grace: float) -> None:
        """Take the next step if its time has come."""
        stop = self.stop
        while stop is not None and stop.steps and clock.monotonic() >= stop.next_step_at:
            stop.steps.pop(0)()
            stop.next_step_at = clock.monotonic() + grace

    def _terminate(self) -> None:
        process.signal_own_group(self.pid, signal.SIGTERM, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL the whole group, at once."""
        process.signal_own_group(self.pid, signal.SIGKILL)

    def give_up(self) -> None:
        """Kill the runner of an attempt that is no longer ours; nothing of it is written."""
        if not self.superseded and self.row is not None:
            log.warning("superseded id=%s attempt=%d pid=%d", self.row.id, self.row.attempt, self.pid)
        self.superseded = True
        self.kill()

    def pause(self) -> None:
        """Stop the whole group; the time does not count for the timeout."""
        self.paused_at = clock.monotonic()
        self.unwritten.add("active_seconds")
        process.signal_own_group(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let the group go on."""
        if self.paused_at is not None:
            paused = clock.monotonic() - self.paused_at
            self.paused_seconds += paused
            self.deadline = None if self.deadline is None else self.deadline + paused
        self.paused_at = None
        self.unwritten.add("active_seconds")  # who looks counts on from the last write
        process.signal_own_group(self.pid, signal.SIGCONT)

    @property
    def next_moment(self) -> float | None:
        """When something must be done with the runner next, on the monotonic clock."""
        if self.stop is not None:
            return self.stop.next_step_at if self.stop.steps else None
        return None if self.paused_at is not None else self.deadline

    @property
    def is_late(self) -> bool:
        """True once the task's timeout has passed."""
        return self.deadline is not None and self.paused_at is None and clock.monotonic() >= self.deadline

    def close(self) -> None:
        """Give back the descriptors and the page; after it was reaped."""
        os.close(self.pidfd)
        self.channel.close()
        self.output.close()
        self.page.close()
