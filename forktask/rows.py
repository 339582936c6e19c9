"""Rows and the writes of a supervisor, as plain frozen values."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from forktask.identity import Identity
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
    settings: Any
    result: Any
    error: str | None
    cause: Cause | None
    reference: str | None
    warnings: list[str] | None
    metadata: Any
    checkpoint: Any
    owner: str | None
    public: int
    parent_id: UUID | None
    start_method: StartMethod | None
    queue: str | None
    priority: int
    run_after: datetime | None
    attempt: int
    max_attempts: int
    unique_key: str | None
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


class SupervisorRow(NamedTuple):
    """A row of `forktask_supervisor`."""

    id: UUID
    application: str
    version: str
    host: str
    kind: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int
    started_at: datetime
    heartbeat_at: datetime
    stopped_at: datetime | None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One row that a supervisor wants for a runner that it already has."""

    status_id: UUID
    supervisor_id: UUID
    runner: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a runner reported since the last write; None for `warnings` and `checkpoint`: unchanged."""

    status_id: UUID
    attempt: int
    percent: float | None = None
    message: str | None = None
    done: int | None = None
    total: int | None = None
    unit: str | None = None
    warnings: list[str] | None = None
    checkpoint: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of one attempt: what becomes of the status, and the row of the attempt.

    `state` is `queued` where another attempt follows; then `run_after` says when.
    """

    status_id: UUID
    attempt: int
    state: State
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
    finished_at: datetime
    error_class: str | None = None
    traceback: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    log_dropped: int = 0


class Request(NamedTuple):
    """What a supervisor needs to see of a row under its watch."""

    id: UUID
    attempt: int
    state: State
    supervisor_id: UUID | None
    cancel_requested_at: datetime | None
    pause_requested_at: datetime | None
