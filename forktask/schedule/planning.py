"""What follows when a recurring task is due: which runs are ordered, and when it is due again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from forktask.schedule.declaration import rule_of
from forktask.schedule.rules import Rule
from forktask.schedule.table import ScheduleRow

MOST: Final = 100
"""Runs that are made up for at once; of more the last."""
ON_TIME: Final = 60.0
"""Seconds after its moment within which a run is not missed."""
SHORT: Final = 5.0
"""The same where runs follow each other faster than so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do about a recurring task that is due.

    Attributes:
        runs: Due times of the runs that are ordered now.
        due_at: The next due time; None: none comes.
        next_at: The moment from which it is looked at again.
        held: A run that is due waits for an earlier one.
        skipped: How many runs are left out.
    """

    runs: tuple[datetime, ...]
    due_at: datetime | None
    next_at: datetime | None
    held: bool = False
    skipped: int = 0


def plan(row: ScheduleRow, now: datetime, *, is_live: bool) -> Plan:
    """Return what follows now; the same in every process.

    Args:
        is_live: The run before has not ended.
    """
    assert row.due_at is not None
    rule = rule_of(row, row.anchor_at)
    due = [time for time in recent(rule, row.due_at, now) if begins(row, time) <= now]
    if not due:
        return Plan(runs=(), due_at=row.due_at, next_at=begins(row, row.due_at))
    if is_live and row.overlap == "queue":
        return Plan(runs=(), due_at=row.due_at, next_at=row.next_at, held=True)
    following = rule.next_after(due[-1])
    chosen = [] if is_live and row.overlap == "skip" else _chosen(row, due, now)
    if row.overlap == "queue" and len(chosen) > 1:
        following, chosen = chosen[1], chosen[:1]
    left_out = sum(time not in chosen and (following is None or time < following) for time in due)
    return Plan(
        runs=tuple(chosen),
        due_at=following,
        next_at=None if following is None else begins(row, following),
        held=following in due,
        skipped=left_out,
    )


def _chosen(row: ScheduleRow, due: Sequence[datetime], now: datetime) -> list[datetime]:
    """Return those of the due times for which there is a run."""
    if row.missed == "all":
        return list(due)
    patience = ON_TIME if row.every is None else min(ON_TIME, max(row.every, SHORT))
    on_time = [time for time in due if begins(row, time) > now - timedelta(seconds=patience)]
    if on_time and row.overlap == "parallel":
        return on_time
    if on_time or row.missed == "last" or row.held_at is not None:
        return [due[-1]]
    return []


def recent(rule: Rule, first: datetime, now: datetime) -> list[datetime]:
    """Return the due times from `first`, itself one, until now, at most the last `MOST`."""
    length = timedelta(minutes=1)
    while True:
        begin = max(now - length, first)
        found = [first] if begin == first <= now else []
        time = rule.next_after(begin)
        while time is not None and time <= now:
            found.append(time)
            time = rule.next_after(time)
        if len(found) >= MOST or begin == first:
            return found[-MOST:]
        length *= 4


def begins(row: ScheduleRow, due: datetime) -> datetime:
    """Return the moment at which the run of a due time begins: its jitter is the same wherever it is asked for."""
    if not row.jitter:
        return due
    digest = hashlib.sha256(f"{row.name}\0{due.timestamp():.6f}".encode()).digest()
    share = int.from_bytes(digest[:6], "big") / 2**48
    return due + timedelta(microseconds=int(share * row.jitter * 1_000_000))


def run_key(schedule: UUID, due: datetime) -> str:
    """Return what makes the run of one due time unique in the table of statuses."""
    return hashlib.sha256(f"schedule\0{schedule}\0{due.timestamp():.6f}".encode()).hexdigest()
