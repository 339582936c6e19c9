"""A row tells the truth about an end: for each cause the soak must have given a reason."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

from tests.soak.deeds import Deeds
from tests.soak.journal import Journal
from tests.soak.processes import Process
from tests.soak.rules import Once
from tests.soak.snapshot import FINAL, Attempt, Row, Snapshot, Violation

RAISING = {"failing", "retrying", "private"}
ASKING = {"parent"}
"""Kinds that use the database themselves: what it cannot do they raise."""
REFUSALS = {"StoreUnavailableError", "LaunchError", "StateError"}
TIMED = {"late", "lateagain"}
ENDING = {"ending"}


class Causes:
    """Compares what rows say of the ends with what was done to them."""

    def __init__(self, journal: Journal, deeds: Deeds) -> None:
        self.journal = journal
        self.deeds = deeds
        self._once = Once()
        self._tests: dict[str | None, Callable[[Row, Attempt, Snapshot], bool]] = {
            None: lambda row, end, now: end.state == "completed",
            "exception": self._raised,
            "exit": lambda row, end, now: row.kind in ENDING,
            "signal": self._signalled,
            "out_of_memory": lambda row, end, now: row.kind in ENDING or self._got(end, signal.SIGKILL),
            "timeout": lambda row, end, now: row.kind in TIMED,
            "cancelled": lambda row, end, now: "cancel" in self.deeds.orders[row.id],
            "interrupted": lambda row, end, now: self._supervisor_got(end, now, signal.SIGTERM),
            "launch": lambda row, end, now: bool(row.bound and self.deeds.outages) and not self._begun(end),
            "supervisor_gone": lambda row, end, now: self._supervisor_got(end, now, signal.SIGKILL),
        }

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for key, end in now.attempts.items():
            row = now.rows.get(key[0])
            if row is not None and self._once.new(key) and not self._is_true(row, end, now):
                yield Violation("a row tells why", row.id, f"{row.kind} ended as {end}: nobody gave a reason for that")
        for row in now.rows.values():
            if row.state in FINAL and self._once.new((row.id, row.attempt, "numbers")):
                yield from self._numbers(row, now)
            if row.state == "cancelled" and "cancel" not in self.deeds.orders[row.id] and self._once.new(row.id):
                yield Violation("a row tells why", row.id, "cancelled, and nobody asked for it")

    def _numbers(self, row: Row, now: Snapshot) -> Iterator[Violation]:
        """Attempts are numbered without gaps, but for one that was cancelled before it began."""
        for number in range(1, row.attempt + 1):
            if (row.id, number) in now.attempts:
                continue
            if self.journal.has(row.id, number, "begin") or "cancel" not in self.deeds.orders[row.id]:
                yield Violation("attempts without gaps", row.id, f"{number} of {row.attempt} has no end")

    def _is_true(self, row: Row, end: Attempt, now: Snapshot) -> bool:
        test = self._tests.get(end.cause)
        return test is not None and test(row, end, now)

    def _raised(self, row: Row, end: Attempt, now: Snapshot) -> bool:
        if row.kind in ASKING:
            return self.deeds.outages > 0 and (end.error_class or "").rpartition(".")[2] in REFUSALS
        return row.kind in RAISING and end.error_class == "ValueError"

    def _signalled(self, row: Row, end: Attempt, now: Snapshot) -> bool:
        if row.kind in ENDING:
            return end.signal in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM)
        return end.signal is not None and self._got(end, end.signal)

    def _got(self, end: Attempt, number: int) -> bool:
        """Return True if the soak sent that to the process that ran the attempt."""
        return any(
            number in signals and process.pid == end.pid
            for process, signals in list(self.deeds.signals.items())
        )  # fmt: skip

    def _supervisor_got(self, end: Attempt, now: Snapshot, number: int) -> bool:
        supervisor = now.supervisors.get(end.supervisor_id or "")
        return supervisor is not None and self.deeds.sent(Process(supervisor.pid, supervisor.start_ticks), number)

    def _begun(self, end: Attempt) -> bool:
        return self.journal.has(end.status_id, end.attempt, "begin")
