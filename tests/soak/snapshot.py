"""What is known of one moment: rows by plain SQL, processes from `/proc`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.soak.processes import Process, Seen

LIVE = ("queued", "running", "paused")
FINAL = ("completed", "failed", "cancelled", "lost")


class Row(NamedTuple):
    """Columns of `forktask_status`, by their names."""

    id: str
    task: str
    state: str
    attempt: int
    max_attempts: int
    percent: float | None
    cause: str | None
    bound: int
    supervisor_id: str | None
    runner_pid: int | None
    runner_start_ticks: int | None
    result: dict[str, int] | None

    @property
    def kind(self) -> str:
        return self.task.rpartition(".")[2].lower()

    @property
    def runner(self) -> Process | None:
        if self.runner_pid is None or self.runner_start_ticks is None:
            return None
        return Process(self.runner_pid, self.runner_start_ticks)

    @property
    def is_under_way(self) -> bool:
        return self.state in ("running", "paused") and self.runner_pid is not None


class Attempt(NamedTuple):
    """Columns of `forktask_attempt`, by their names."""

    status_id: str
    attempt: int
    state: str
    cause: str | None
    signal: int | None
    exit_code: int | None
    supervisor_id: str | None
    pid: int | None
    error_class: str | None


class Supervisor(NamedTuple):
    """Columns of `forktask_supervisor`, by their names."""

    id: str
    name: str
    version: str
    pid: int
    start_ticks: int
    has_left: bool

    @property
    def process(self) -> Process:
        return Process(self.pid, self.start_ticks)


Key = tuple[str, int]
"""Id of a status, and number of an attempt."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One look.

    Attributes:
        at: Seconds of patience so far: they pass more slowly than time where the machine is slow, and not at all while
            the database is kept away or the supervisors are stopped.
        rows: Those that are live, and those that changed lately.
        attempts: All ends of those rows.
        logs: Pieces of output of those attempts, so far.
        marked: Processes that carry the mark of the site.
        web: The first processes of web servers that were started and not ended yet.
    """

    at: float
    rows: dict[str, Row] = field(default_factory=dict)
    attempts: dict[Key, Attempt] = field(default_factory=dict)
    logs: dict[Key, int] = field(default_factory=dict)
    supervisors: dict[str, Supervisor] = field(default_factory=dict)
    table: dict[int, Seen] = field(default_factory=dict)
    marked: set[int] = field(default_factory=set)
    web: set[int] = field(default_factory=set)

    def lives(self, process: Process | None) -> bool:
        """Return True if this very process was there and no zombie."""
        seen = self.table.get(process.pid) if process is not None else None
        return seen is not None and seen.process == process and not seen.is_zombie

    def watching(self, row: Row) -> Supervisor | None:
        """Return the supervisor of a row."""
        return self.supervisors.get(row.supervisor_id or "")


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be.

    Attributes:
        invariant: What is broken.
        about: Id of the status, or number of the process.
        what: What was seen.
    """

    invariant: str
    about: str
    what: str
