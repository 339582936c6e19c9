"""The process of a runner, and what it is charged with: nothing while it is a spare, then a row."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from datetime import datetime
from typing import Any

from forktask import clock, memory, process
from forktask.capture import OutputReader
from forktask.channel import Channel
from forktask.definition import TaskDefinition
from forktask.estimate import Pace, share_of
from forktask.progress import Page, Report
from forktask.rows import RunRow, Sample
from forktask.runner import ASKED
from forktask.states import Cause
from forktask.supervisor.heard import Heard, Output
from forktask.supervisor.order import Order
from forktask.supervisor.stop import Stop

log = logging.getLogger("forktask.supervisor")


class Runner:
    """A process that executes one order, or one after the other, and what connects us with it."""

    def __init__(self, *, pid: int, page: Page, channel: Channel, output: OutputReader, forked: bool) -> None:
        self.pid = pid
        self.forked = forked
        self.identity = process.identify(pid)
        self.pidfd = os.pidfd_open(pid)
        self.page = page
        self.channel = channel
        self.output = output
        self.charge: Charge | None = None
        """What it executes; None: it waits for an order, or executes a batch."""
        self.together: dict[int, Charge] = {}
        """The batch that it executes, by the numbers that its words bear."""
        self.was_signalled = False
        """We have sent it a signal that ends it."""
        self.kills = memory.Kills()

    @property
    def charges(self) -> list[Charge]:
        """All that it executes now."""
        if self.together:
            return list(self.together.values())
        return [self.charge] if self.charge is not None and self.charge.row is not None else []

    def addressed(self, message: Any) -> list[Charge]:
        """Return of which charges a message of its speaks: without a number of all, as before a batch has begun."""
        number = message.get("number", 0) if isinstance(message, dict) else 0
        if self.together and number == 0:
            return list(self.together.values())
        one = {} if self.charge is None else {self.charge.number: self.charge}
        found = (self.together or one).get(number if isinstance(number, int) else -1)
        if found is None:
            log.error("pid=%d speaks of order %s, which it does not execute", self.pid, number)
        return [] if found is None else [found]

    def close(self) -> None:
        """Give back the descriptors and the pages; after it was reaped."""
        os.close(self.pidfd)
        self.channel.close()
        self.output.close()
        for page in (self.page, *(charge.page for charge in self.together.values())):
            page.close()


class Charge(Heard):
    """One attempt, or none yet, and all that the supervisor holds of it and of its runner.

    Args:
        number: Of the order, in a runner that executes many.
    """

    def __init__(self, runner: Runner, number: int = 0) -> None:
        super().__init__()
        self.runner = runner
        self.number = number
        self.pid = runner.pid
        self.identity = runner.identity
        self.page = runner.page
        self.output: Output = runner.output
        self.row: RunRow | None = None
        self.order: Order | None = None
        self.definition: TaskDefinition | None = None
        self.seen_version = 0
        self.stop: Stop | None = None
        self.superseded = False
        self.paused_at: float | None = None
        self.paused_seconds = 0.0
        self.begun_at = 0.0
        self.pace = Pace()
        self.deadline: float | None = None
        self.memory_kills = 0

    def take(self, row: RunRow, order: Order, definition: TaskDefinition) -> dict[str, Any]:
        """Be charged with a claimed row; return what its runner has to know."""
        self.row, self.order, self.definition = row, order, definition
        return {
            "id": str(row.id),
            "task": row.task,
            "settings": row.settings,
            "attempt": row.attempt,
            "checkpoint": row.checkpoint,
            "shell": order.shell,
            "private": order.private,
        }

    def begin(self) -> None:
        """Note that the runner begins with the row now."""
        assert self.row is not None and self.definition is not None
        self.runner.charge = self
        self.page.forget()
        self.begun_at = clock.monotonic()
        if self.definition.timeout is not None:
            self.deadline = self.begun_at + self.definition.timeout
        self.memory_kills = self.runner.kills.about_now()
        log.info("started task=%s id=%s attempt=%d pid=%d", self.row.task, self.row.id, self.row.attempt, self.pid)

    @property
    def is_over(self) -> bool:
        """True when its runner executes a later order by now: its end is on its way."""
        return self.page.number > self.number

    @property
    def has_begun(self) -> bool:
        """False while its runner has not come to it."""
        return self.page.number >= self.number

    def _report(self) -> tuple[int, Report] | None:
        """Return what was reported last; what a runner reports that executes many may be of another row by now."""
        if not self.number:
            return self.page.read()
        if self.last_word is None:
            return self.page.read_of(self.number)
        told = self.last_word.get("report")
        return (0, Report(*told)) if told is not None else None

    def sample(self, *, always: bool = False) -> tuple[int, Sample] | None:
        """Return the version of the page and what changed since the last write, or None."""
        if self.row is None:
            return None
        if (self.is_over or not self.has_begun) and not always:
            return None
        found = self._report()
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
        if self.last_word is not None and "seconds" in self.last_word:
            return max(0.0, float(self.last_word["seconds"]) - self.paused_seconds)
        until = clock.monotonic() if self.paused_at is None else self.paused_at
        return until - self.begun_at - self.paused_seconds

    @property
    def started_at(self) -> datetime | None:
        """When it began: where a runner is kept, that is later than its claim."""
        if not self.number:
            return self.row.started_at if self.row is not None else None
        return clock.after(-self.active_seconds - self.paused_seconds if self.begun_at else 0.0)

    def ask_if_silent(self) -> None:
        """Ask the runner if it has said nothing new while a loop of its may have gone on."""
        if self.row is None or self.paused_at is not None or not self.page.may_be_behind:
            return
        found = self._report()
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
        steps = [self._terminate, self.kill]
        if cause is Cause.CANCELLED and self.paused_at is None:
            steps.insert(0, lambda: self.page.request_cancel(self.number))
        self._note_stop(cause, steps)
        if not self.number:  # else the loop takes back first what lies ready behind it
            self.advance_stop(grace)

    def _note_stop(self, cause: Cause, steps: list[Callable[[], None]]) -> None:
        """Note that it is to end, and what is to be done for that."""
        assert self.row is not None
        log.info("stopping task=%s id=%s pid=%d cause=%s", self.row.task, self.row.id, self.pid, cause)
        self.stop = Stop(cause, clock.monotonic(), steps)

    def advance_stop(self, grace: float) -> None:
        """Take the next step if its time has come."""
        if self.stop is not None and (self.is_over or not self.has_begun):
            self.stop.wait()
        elif self.stop is not None:
            self.stop.advance(grace)

    def _terminate(self) -> None:
        """SIGTERM the whole group; a stopped one goes on to hear it."""
        self.page.name_stop(self.number)
        self._signal(signal.SIGTERM, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL the whole group, at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, *numbers: int) -> None:
        """Signal the whole group, unless its runner executes another order by now: then our end is on its way."""
        if not self.is_over:
            self.runner.was_signalled = True
            process.signal_own_group(self.pid, *numbers)

    def give_up(self) -> None:
        """Kill the runner of an attempt that is no longer ours; nothing of it is written."""
        self._note_superseded()
        self.kill()

    def _note_superseded(self) -> None:
        """Note that the attempt is no longer ours."""
        if not self.superseded and self.row is not None:
            log.warning("superseded id=%s attempt=%d pid=%d", self.row.id, self.row.attempt, self.pid)
        self.superseded = True

    @property
    def may_pause(self) -> bool:
        """False: its runner executes others, which would stand still, too."""
        return True

    def pause(self) -> None:
        """Stop the whole group; the time does not count for the timeout."""
        if self.is_over or not self.has_begun:
            return
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

    def share_of(self, exit: process.Exit) -> process.Exit:
        """Return its share in how its runner has ended."""
        return exit

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
