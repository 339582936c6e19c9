"""The journal: what tasks themselves say of their attempts, so that nobody has to believe the rows.

A task appends a line at its begin and at its end. Whoever begins looks first whether a process of an earlier attempt
of the same status still runs, and says so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.soak.processes import Process, read, runs

VARIABLE = "SOAK_JOURNAL"


class Line(NamedTuple):
    """One line of the journal.

    Attributes:
        event: `begin`, `end`, `raised`, `child` (a process that the task started), or `doubled`: at the begin, this
            process of an earlier attempt ran.
        at: On the monotonic clock, which all processes of a host share.
    """

    id: str
    attempt: int
    event: str
    pid: int
    ticks: int
    at: float
    note: str = ""

    @property
    def process(self) -> Process:
        return Process(self.pid, self.ticks)


class Writer:
    """What one attempt says of itself."""

    def __init__(self, status_id: str, attempt: int) -> None:
        self.id = status_id
        self.attempt = attempt
        self.folder = Path(os.environ[VARIABLE])

    def write(self, event: str, note: str = "", pid: int | None = None) -> None:
        """Append one line about a process, this one unless told otherwise."""
        seen = read(os.getpid() if pid is None else pid)
        if seen is None:
            return
        self._append("journal", Line(self.id, self.attempt, event, seen.pid, seen.ticks, time.monotonic(), note))

    def begin(self) -> None:
        """Say that the attempt has begun, and whom it found."""
        earlier = [line.process for line in self._lines(f"{self.id}.processes") if line.attempt != self.attempt]
        for process in earlier:
            if process.pid != os.getpid() and runs(process):
                self.write("doubled", pid=process.pid)
        self.write("begin")
        self.keep(os.getpid())

    def child(self, pid: int) -> None:
        """Note a process that the task has started."""
        self.write("child", pid=pid)
        self.keep(pid)

    def keep(self, pid: int) -> None:
        """Note a process for the attempts to come."""
        if (seen := read(pid)) is not None:
            line = Line(self.id, self.attempt, "process", pid, seen.ticks, time.monotonic())
            self._append(f"{self.id}.processes", line)

    def _append(self, name: str, line: Line) -> None:
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, json.dumps(line).encode() + b"\n")  # one write: lines never mix
        finally:
            os.close(descriptor)

    def _lines(self, name: str) -> list[Line]:
        try:
            return [Line(*json.loads(line)) for line in (self.folder / name).read_text().splitlines()]
        except FileNotFoundError:
            return []


@contextmanager
def journaled(status_id: str, attempt: int) -> Iterator[Writer]:
    """Keep the journal of one attempt."""
    writer = Writer(status_id, attempt)
    writer.begin()
    try:
        yield writer
    except BaseException as error:
        writer.write("raised", type(error).__name__)
        raise
    writer.write("end")


class Journal:
    """The journal as it is read, again and again."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "journal"
        self._offset = 0
        self.lines: dict[str, list[Line]] = {}
        """All lines so far, by status."""

    def read(self) -> list[Line]:
        """Return what is new."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        new = [Line(*json.loads(line)) for line in whole.splitlines()]
        for line in new:
            self.lines.setdefault(line.id, []).append(line)
        return new

    def has(self, status_id: str, attempt: int, event: str) -> bool:
        """Return True if an attempt said so."""
        return any(line.attempt == attempt and line.event == event for line in self.lines.get(status_id, ()))
