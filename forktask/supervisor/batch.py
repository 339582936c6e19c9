"""A batch: rows that one runner executes together, each with a charge, a page and an end of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from forktask import clock
from forktask.capture import OutputReader
from forktask.definition import TaskDefinition
from forktask.process import Exit
from forktask.progress import Page, memory_file
from forktask.rows import End, LogRow, RunRow
from forktask.sentences import TOGETHER
from forktask.states import Cause
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.order import Order
from forktask.supervisor.stop import Stop


class Batch:
    """A runner for a batch, and a charge for each row that it is to have.

    Args:
        name: Of the memory file.

    Raises:
        OSError: No descriptor is left, or no memory, or a sandbox forbids memory files.
    """

    def __init__(self, runner: Runner, count: int, name: str) -> None:
        self.runner = runner
        self.stop: Stop | None = None
        """How the runner is being ended, once nobody wants it to go on."""
        self.wanted = 0
        """So many rows want it to go on: they are still ours, and are not to end."""
        self.charges: list[Part] = []
        self._memory = memory_file(name, count)
        try:
            for number in range(count):
                self.charges.append(Part(self, number + 1, Page.from_descriptor(self._memory, number)))
        except OSError:
            self._close()
            raise

    def drop(self, charge: Part) -> bool:
        """Leave out a row that was not claimed; return True if none is left."""
        self.charges.remove(charge)
        charge.page.close()
        if not self.charges:
            self._close()
        return not self.charges

    def _close(self) -> None:
        os.close(self._memory)
        for charge in self.charges:
            charge.page.close()

    def hand_over(self) -> None:
        """Hand the rows over that were claimed; the first of them gets what is printed.

        Raises:
            OSError: The kernel refuses to pass the pages.
        """
        self.charges = [charge for charge in self.charges if charge.row is not None]
        first, *others = self.charges
        assert first.row is not None
        self.wanted = len(self.charges)
        self.runner.together = {charge.position: charge for charge in self.charges}
        for charge in others:
            charge.output = Elsewhere(self.runner.output, first.row.id)
        for charge in self.charges:
            charge.begin()
        channel = self.runner.channel
        try:
            channel.post({"batch": len(self.charges), "task": first.row.task})
            if channel.has_unsent:
                raise BlockingIOError("the runner's socket is full")
            socket.send_fds(channel.sock, [b"P"], [self._memory])
        finally:
            os.close(self._memory)
        for charge in self.charges:
            channel.post(charge.message)

    def want_less(self, stop: Stop) -> None:
        """Note that one row less wants the runner to go on; if none does, that is how it is ended."""
        self.wanted -= 1
        if self.wanted == 0:
            self.stop = stop


class Part(Charge):
    """One attempt of a batch.

    It cannot be ended alone: it is asked to, and the runner is ended when all its rows are to end.

    Args:
        position: Its number in the batch, from 1.
    """

    def __init__(self, batch: Batch, position: int, page: Page) -> None:
        super().__init__(batch.runner)
        self.batch = batch
        self.position = position
        self.page = page
        self.message: dict[str, Any] = {}

    def take(self, row: RunRow, order: Order, definition: TaskDefinition) -> dict[str, Any]:
        """Be charged with a claimed row; what its runner has to know is sent when the batch is complete."""
        self.message = super().take(row, order, definition) | {"number": self.position}
        return self.message

    def begin(self) -> None:
        """Note that the runner begins with the batch now."""
        super().begin()
        self.runner.charge = None

    def begin_stop(self, cause: Cause, grace: float) -> None:
        """Ask for the end of this row, and end the runner if that is to be the end of all."""
        if self.stop is not None or self.row is None:
            return
        self._note_stop(cause, [])
        if cause is Cause.CANCELLED:
            self.page.request_cancel()
        if not self.superseded:
            delay = grace if cause is Cause.CANCELLED and self.paused_at is None else 0.0
            self.batch.want_less(Stop(cause, clock.monotonic() + delay, [self._terminate, self.kill]))

    def advance_stop(self, grace: float) -> None:
        """Take the next step to the end of the runner if its time has come."""
        if self.batch.stop is not None:
            self.batch.stop.advance(grace)

    def give_up(self) -> None:
        """Go on without a row that is no longer ours; kill the runner if it has no other."""
        if self.superseded:
            return
        self._note_superseded()
        self.page.request_cancel()
        if self.stop is None:
            self.batch.want_less(Stop(Cause.CANCELLED, clock.monotonic(), [self.kill]))
        if all(charge.superseded for charge in self.batch.charges):
            self.kill()  # at once: where each is under way again, with another runner, nobody looks after this one

    @property
    def may_pause(self) -> bool:
        """True if no other one would stand still with it."""
        return all(charge is self or charge.superseded for charge in self.batch.charges)

    @property
    def next_moment(self) -> float | None:
        """When something must be done with the runner next, on the monotonic clock."""
        if (stop := self.batch.stop) is not None:
            return stop.next_step_at if stop.steps else None
        return super().next_moment

    def share_of(self, exit: Exit) -> Exit:
        """Return its share in how its runner has ended: of the processor time; the memory was that of all.

        What ended since another row was to end was interrupted.
        """
        others_end = self.batch.wanted < len(self.batch.charges)
        if self.stop is None and others_end and (self.last_word or {}).get("word") == "stopped":
            self.stop = Stop(Cause.INTERRUPTED, clock.monotonic(), [])
            self.last_word = {**(self.last_word or {}), "sentence": TOGETHER}
        return replace(exit, cpu_seconds=exit.cpu_seconds / len(self.batch.charges))


def bequeath(ends: Sequence[tuple[Charge, End]]) -> list[tuple[Charge, End]]:
    """Return the ends of a batch; where its first row is deleted, the next one that stays gets what was printed."""
    first = ends[0][1] if ends else None
    if first is None or not first.deletes:
        return list(ends)
    number = next((n for n, (charge, end) in enumerate(ends) if not (end.deletes or charge.superseded)), None)
    if number is None:
        return list(ends)
    heir = ends[number][1]
    for charge, _ in ends:
        if isinstance(charge.output, Elsewhere):
            charge.output.where = heir.status_id
    found = list(ends)
    found[0] = (ends[0][0], first._replace(heir=(heir.status_id, heir.attempt)))
    found[number] = (ends[number][0], heir._replace(log_dropped=first.log_dropped))
    return found


class Elsewhere:
    """The output of a row of a batch that is not the first: a line that says where to look.

    Attributes:
        where: The row whose log has the output.
    """

    dropped = 0

    def __init__(self, output: OutputReader, where: UUID) -> None:
        self._output = output
        self.where = where

    def rows(self, status_id: UUID, attempt: int, *, last: bool = False) -> list[LogRow]:
        """Return that line at the end, if anything was printed."""
        if not last or not self._output.kept or status_id == self.where:
            return []
        text = f"This ran in a batch, whose output is in the log of {self.where}.\n"
        return [LogRow(status_id, attempt, 0, clock.now(), "INFO", "forktask", text)]
