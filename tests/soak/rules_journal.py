"""What tasks themselves saw, against what rows say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from tests.soak.journal import Journal, Line
from tests.soak.processes import Process, runs
from tests.soak.rules import Once
from tests.soak.snapshot import Row, Snapshot, Violation


class Runs:
    """No two processes run one row at a time, none an attempt of which the table does not know.

    Args:
        is_running: Tells whether a process can still run code.
    """

    def __init__(self, journal: Journal, most: int, is_running: Callable[[Process], bool] = runs) -> None:
        self.journal = journal
        self.most = most
        self.peak = 0
        self._is_running = is_running
        self._new: list[Line] = []
        self._under_way: dict[Process, Line] = {}
        self._begun: dict[tuple[str, int], Process] = {}
        self._unknown: dict[tuple[str, int], Line] = {}
        self._once = Once()

    def read(self) -> None:
        """Read on in the journal: before the rows are read, so that these must know of all that it tells."""
        self._new = self.journal.read()
        for line in self._new:
            if line.event == "begin":
                self._under_way[line.process] = line
                self._unknown[line.id, line.attempt] = line
            elif line.event in ("end", "raised"):
                self._under_way.pop(line.process, None)
        self._under_way = {one: line for one, line in self._under_way.items() if self._is_running(one)}

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for line in self._new:
            yield from self._judge(line)
        self._new = []
        yield from self._together()
        for key, line in list(self._unknown.items()):
            row = now.rows.get(line.id)
            if row is None or row.attempt < line.attempt:
                yield Violation("the row first, then the process", line.id, f"{line} runs, and the row is {row}")
            del self._unknown[key]

    def _judge(self, line: Line) -> Iterator[Violation]:
        if line.event == "doubled":
            yield Violation("no two at a time", line.id, f"attempt {line.attempt} began while {line.process} ran")
        elif line.event == "begin":
            before = self._begun.setdefault((line.id, line.attempt), line.process)
            if before != line.process:
                yield Violation("an attempt runs once", line.id, f"{line.attempt} in {before} and {line.process}")

    def _together(self) -> Iterator[Violation]:
        by_status: dict[str, list[Process]] = defaultdict(list)
        for process, line in self._under_way.items():
            by_status[line.id].append(process)
        for status_id, processes in by_status.items():
            if len(processes) > 1 and self._once.new((status_id, *processes)):
                yield Violation("no two at a time", status_id, f"{processes} run it")
        if len(self._under_way) > max(self.most, self.peak):
            yield Violation("MAX_RUNNING", "", f"{len(self._under_way)} tasks run, of {self.most}")
        self.peak = max(self.peak, len(self._under_way))


class Results:
    """`completed` needs the task's own word, and the result is that of the attempt of the row."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._once = Once()
        self._completed: list[Row] = []

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for row in self._completed:  # at the last look: by now the journal was read once more
            yield from self._check_completed(row)
        self._completed = [
            row for row in now.rows.values() if row.state == "completed" and self._once.new((row.id, row.attempt))
        ]
        for row in now.rows.values():
            if row.is_under_way:
                yield from self._check_runner(row)

    def _check_completed(self, row: Row) -> Iterator[Violation]:
        if not self.journal.has(row.id, row.attempt, "end"):
            yield Violation("completed needs the word done", row.id, f"attempt {row.attempt} never said that it ended")
        if (row.result or {}).get("attempt") != row.attempt:
            yield Violation("old attempts write nothing", row.id, f"result {row.result} at attempt {row.attempt}")
        if row.percent != 100:
            yield Violation("completed is 100 %", row.id, f"{row.percent}")

    def _check_runner(self, row: Row) -> Iterator[Violation]:
        for line in self.journal.lines.get(row.id, ()):
            other = line.event == "begin" and line.attempt == row.attempt and line.process != row.runner
            if other and self._once.new((row.id, row.attempt, row.runner)):
                yield Violation("the row names its runner", row.id, f"{line.process} runs it, not {row.runner}")
