"""Rows and the writes of a supervisor, as plain frozen values."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from forktask.identity import Identity
from forktask.phases import Phase
from forktask.states import Cause, StartMethod, State


def new_id() -> UUID:
    """Return an id ordered by time, to a quarter of a microsecond, with 62 random bits.

    UUID version 7 with the fraction of the millisecond in `rand_a` (RFC 9562 sections 5.7 and 6.2, method 3).
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return UUID(int=(milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0x2 << 62) | random)


class StatusRow(NamedTuple):
    """A row of `forktask_status` as it was read; each field as the column of that name."""

    id: UUID
    task: str
    title: str
    state: State
    percent: float | None
    message: str | None
    done: int | None
    total: int | None
    unit: str | None
    active_seconds: float | None
    pace_low: float | None
    pace_high: float | None
    settings: Any
    result: Any
    error: str | None
    cause: Cause | None
    reference: str | None
    warnings: list[str] | None
    phases: list[Phase] | None
    metadata: Any
    checkpoint: Any
    owner: str | None
    visitor: str | None
    public: int
    parent_id: UUID | None
    start_method: StartMethod | None
    bound: int
    application: str | None
    destination: str | None
    queue: str | None
    limit_name: str | None
    line: str | None
    lane: str
    turn: int
    later: int
    priority: int
    run_after: datetime | None
    due_at: datetime
    attempt: int
    delete_on_completion: int
    max_attempts: int
    lost_backoff: float | None
    unique_key: str | None
    unique_until_start: int
    once_key: str | None
    once_content: str | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None
    engine: str
    supervisor_id: UUID | None
    runner_boot_id: str | None
    runner_pid_namespace: str | None
    runner_pid: int | None
    runner_start_ticks: int | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


class ClaimedRow(NamedTuple):
    """What a supervisor has to know of a row that it has claimed; each field as the column of that name."""

    id: UUID
    task: str
    settings: Any
    checkpoint: Any
    bound: int
    limit_name: str | None
    attempt: int
    delete_on_completion: int
    max_attempts: int
    supervisor_id: UUID | None
    runner_boot_id: str | None
    runner_pid_namespace: str | None
    runner_pid: int | None
    runner_start_ticks: int | None
    started_at: datetime | None


RunRow: TypeAlias = StatusRow | ClaimedRow
"""A row of which an attempt is under way."""


def completed(row: StatusRow) -> StatusRow:
    """Return what became of a row that was deleted when it had completed."""
    return row._replace(state=State.COMPLETED, percent=100.0)


class SupervisorRow(NamedTuple):
    """A row of `forktask_supervisor`."""

    id: UUID
    application: str
    name: str
    version: str
    host: str
    kind: str
    queues: list[str] | None
    tasks: list[str] | None
    processes: int | None
    held_at: datetime | None
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None

    def serves(self, queue: str, task: str | None) -> bool:
        """Return True if it is a worker that takes this task from this queue; None: any task."""
        return queue in (self.queues or ()) and (task is None or self.tasks is None or task in self.tasks)


class AttemptRow(NamedTuple):
    """A row of `forktask_attempt`."""

    status_id: UUID
    attempt: int
    state: State
    cause: Cause | None
    reference: str | None
    error: str | None
    error_class: str | None
    traceback: str | None
    exit_code: int | None
    signal: int | None
    cpu_seconds: float | None
    peak_memory: int | None
    log_dropped: int
    supervisor_id: UUID | None
    pid: int | None
    started_at: datetime | None
    finished_at: datetime


class LogRow(NamedTuple):
    """A row of `forktask_log`."""

    status_id: UUID
    attempt: int
    position: int
    at: datetime
    level: str | None
    logger: str | None
    text: str


class CompletionRow(NamedTuple):
    """A row of `forktask_completion`."""

    status_id: UUID
    hook: str
    holder: UUID
    called_at: datetime
    returned_at: datetime | None
    next_url: str | None


class Claim(NamedTuple):
    """One row that a supervisor wants for a runner that it already has."""

    status_id: UUID
    supervisor_id: UUID
    runner: Identity
    limit_name: str | None = None
    """The limit under which it counts."""
    limited_queue: str | None = None
    """Its queue, if that has a limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Which waiting rows are a supervisor's to start.

    Attributes:
        tasks: Names that are registered with it.
        application: Its own.
        mine: Names of supervisors whose rows it takes as soon as they are due: its own, and those that it replaces.
        neighbours: Names of other supervisors that live; their rows it leaves alone.
        grace: Seconds after which it takes the rows of supervisors that do not live; one may just be beginning.
    """

    tasks: frozenset[str]
    application: str
    mine: frozenset[str]
    neighbours: frozenset[str]
    grace: float


class Due(NamedTuple):
    """A waiting row whose time has come."""

    id: UUID
    task: str
    start_method: StartMethod | None
    priority: int
    due_at: datetime
    queue: str | None
    limit_name: str | None
    line: str | None
    unique_until_start: int
    unique_key: str | None


class Sample(NamedTuple):
    """What a runner reported since the last write; None for `warnings`, `phases` and `checkpoint`: unchanged."""

    status_id: UUID
    attempt: int
    percent: float | None = None
    message: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    active_seconds: float | None = None
    pace_low: float | None = None
    pace_high: float | None = None
    warnings: list[str] | None = None
    phases: list[Phase] | None = None
    checkpoint: Any = None


class End(NamedTuple):
    """The end of one attempt: what becomes of the status, and the row of the attempt.

    `state` is `queued` where another attempt follows; then `run_after` says when.
    """

    status_id: UUID
    attempt: int
    state: State
    finished_at: datetime
    cause: Cause | None = None
    result: Any = None
    error: str | None = None
    reference: str | None = None
    run_after: datetime | None = None
    counts: bool = True
    """False raises `max_attempts` by one, so that this attempt is not used up."""
    last: Sample | None = None
    """What the shared page said last; None: nothing was ever reported."""
    supervisor_id: UUID | None = None
    pid: int | None = None
    started_at: datetime | None = None
    error_class: str | None = None
    traceback: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_dropped: int = 0
    deletes: bool = False
    """The row goes, with all that belongs to it, if it completed."""
    heir: tuple[UUID, int] | None = None
    """Status and attempt that keep the output of a row that goes."""


class Request(NamedTuple):
    """What a supervisor needs to see of a row under its watch."""

    id: UUID
    attempt: int
    state: State
    supervisor_id: UUID | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None
