"""What rows must keep to, whoever writes them (DESIGN 4, invariants 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.soak.rules import SOON, Lasting, Once
from tests.soak.snapshot import FINAL, Attempt, Key, Row, Snapshot, Violation

WITHIN = {
    "queued": {"running", "paused", "completed", "failed", "cancelled", "lost"},
    "running": {"queued", "paused", "completed", "failed", "cancelled", "lost"},
    "paused": {"queued", "running", "completed", "failed", "cancelled", "lost"},
}
"""What may be seen next of the same attempt, moves in between included; back to `queued`: paused before it began."""
AGAIN = {"queued", "running", "paused", "failed", "cancelled", "lost"}
"""From these a later attempt may follow; of `completed` nothing does."""


class Moves:
    """States move along the allowed moves, attempts forwards, percent within an attempt too."""

    def __init__(self) -> None:
        self._last: dict[str, Row] = {}

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for row in now.rows.values():
            last = self._last.get(row.id)
            self._last[row.id] = row
            if last is not None:
                yield from self._compare(last, row)
            if row.attempt > row.max_attempts:
                yield Violation("attempts", row.id, f"attempt {row.attempt} of {row.max_attempts}")

    def _compare(self, last: Row, row: Row) -> Iterator[Violation]:
        step = f"{last.state} {last.attempt} → {row.state} {row.attempt}"
        if row.attempt < last.attempt:
            yield Violation("attempts only grow", row.id, step)
        elif row.attempt > last.attempt:
            if last.state not in AGAIN:
                yield Violation("allowed moves", row.id, step)
        elif row.state != last.state and row.state not in WITHIN.get(last.state, ()):
            yield Violation("allowed moves", row.id, step)
        elif last.is_under_way and (row.percent or 0) < (last.percent or 0):
            yield Violation("percent grows within an attempt", row.id, f"{step}: {last.percent} → {row.percent}")


class Ends:
    """Each attempt ends once, nothing of an end changes, and nothing is written after it."""

    def __init__(self) -> None:
        self.seen: dict[Key, Attempt] = {}
        self._logs: dict[Key, int] = {}
        self._once = Once()

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for key, attempt in now.attempts.items():
            before = self.seen.setdefault(key, attempt)
            if before != attempt:
                yield Violation("one end per attempt", key[0], f"was {before}, is {attempt}")
            logged = now.logs.get(key, 0)
            if self._logs.setdefault(key, logged) != logged:
                what = f"attempt {key[1]} wrote {logged - self._logs[key]} pieces of output after its end"
                self._logs[key] = logged
                yield Violation("old attempts write nothing", key[0], what)
            row = now.rows.get(key[0])
            if row is not None and key[1] > row.attempt and self._once.new(key):
                yield Violation("one end per attempt", key[0], f"attempt {key[1]} ended, the row is at {row.attempt}")
        for row in now.rows.values():
            yield from self._agree(row, now.attempts.get((row.id, row.attempt)))

    def _agree(self, row: Row, end: Attempt | None) -> Iterator[Violation]:
        if row.state not in FINAL:
            if end is not None and self._once.new((row.id, row.attempt, row.state)):
                yield Violation("one end per attempt", row.id, f"{row.state} at {row.attempt}, which ended: {end}")
            return
        if end is None:
            if row.state != "cancelled" and self._once.new((row.id, row.attempt, "no end")):
                yield Violation("one end per attempt", row.id, f"{row.state}, without an end of {row.attempt}")
        elif (end.state, end.cause) != (row.state, row.cause) and self._once.new((row.id, row.attempt, "differs")):
            yield Violation("one end per attempt", row.id, f"{row.state} {row.cause}, but its attempt says {end}")


class Truth:
    """A row that is under way has a live supervisor and a live runner, or says otherwise soon."""

    def __init__(self) -> None:
        self.supervisors = Lasting(SOON)
        self.runners = Lasting(SOON)

    def look(self, now: Snapshot) -> Iterator[Violation]:
        orphans: dict[object, str] = {}
        ended: dict[object, str] = {}
        for row in now.rows.values():
            if not row.is_under_way:
                continue
            supervisor = now.watching(row)
            if supervisor is None or not now.lives(supervisor.process):
                orphans[row.id, row.attempt] = f"{row.state}, and its supervisor {supervisor} is gone"
            elif not now.table[supervisor.pid].is_stopped and not now.lives(row.runner):
                ended[row.id, row.attempt] = f"{row.state}, and its runner {row.runner} is gone"
        for key, what in self.supervisors.late(now.at, orphans):
            yield Violation("a live supervisor, or lost", _id(key), what)
        for key, what in self.runners.late(now.at, ended):
            yield Violation("a supervisor sees the end of its runner", _id(key), what)


class Places:
    """No more attempts are under way than there are places.

    A runner that has ended takes up none, though the table says so a moment later.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.peak = 0

    def look(self, now: Snapshot) -> Iterator[Violation]:
        under_way = [row.id for row in now.rows.values() if row.is_under_way and now.lives(row.runner)]
        if len(under_way) > max(self.most, self.peak):
            yield Violation("MAX_RUNNING", under_way[-1], f"{len(under_way)} attempts are under way, of {self.most}")
        self.peak = max(self.peak, len(under_way))


def _id(key: object) -> str:
    assert isinstance(key, tuple)
    return str(key[0])
