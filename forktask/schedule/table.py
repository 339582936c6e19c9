"""The table of recurring tasks, and its rows as plain values."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table
from sqlalchemy.types import JSON
from sqlmodel import Field

from forktask.columns import AwareUTC, Id, LongText, ShortText, Value
from forktask.states import StartMethod
from forktask.tables import Base

SPACE = UUID("5f1c2d7a-6a40-4b62-9d0e-0b1f6f2c7a11")
"""In which names become ids (RFC 9562 version 5): all processes know the id of a name without asking."""


def schedule_id(name: str) -> UUID:
    """Return the id of the recurring task of this name."""
    return uuid5(SPACE, name)


def _column(kind: Any, *, null: bool = True, default: Any = None) -> Any:
    return Field(default=default, sa_column=Column(kind, nullable=null))


class ScheduleTable(Base, table=True):
    """One recurring task: its rule, what a run of it is, and which due time comes next."""

    __tablename__ = "forktask_schedule"

    id: UUID = Field(sa_column=Column(Id, primary_key=True))
    """Made of the name."""
    name: str = _column(String(255), null=False)
    application: str = _column(LongText, null=False)
    """Reference of the application that declared it last; empty: it was added by a command."""
    version: str = _column(String(255), null=False)
    """Of the code that declared it last."""
    task: str = _column(String(255), null=False)
    title: str | None = _column(ShortText(255))
    settings: Any = _column(JSON(none_as_null=True), null=False)
    owner: str | None = _column(String(255))
    public: bool = _column(Integer, null=False, default=0)
    queue: str = _column(String(100), null=False)
    priority: int = _column(Integer, null=False, default=50)
    start_method: StartMethod | None = _column(Value(StartMethod))
    meta: Any = Field(default=None, sa_column=Column("metadata", JSON(none_as_null=True)))
    every: float | None = _column(Float(53))
    """Seconds between runs; null: `cron` says when."""
    cron: str | None = _column(String(255))
    timezone: str | None = _column(String(64))
    start_at: datetime | None = _column(AwareUTC())
    end_at: datetime | None = _column(AwareUTC())
    jitter: float = _column(Float(53), null=False, default=0.0)
    """Each run begins up to so many seconds after its due time."""
    missed: str = _column(String(20), null=False)
    """none, last or all: which runs are made up for that were due while nobody looked."""
    overlap: str = _column(String(20), null=False)
    """skip, queue or parallel: what a run does that is due while an earlier one has not ended."""
    anchor_at: datetime = _column(AwareUTC(), null=False)
    """From which `every` counts: `start_at`, or when it was declared first."""
    due_at: datetime | None = _column(AwareUTC())
    """Due time of the next run; null: none comes."""
    next_at: datetime | None = _column(AwareUTC())
    """The same with its jitter; null while it is paused or withdrawn, too."""
    held_at: datetime | None = _column(AwareUTC())
    """Since when a run waits for an earlier one to end."""
    last_due_at: datetime | None = _column(AwareUTC())
    """Due time of the last run that was ordered."""
    last_status_id: UUID | None = _column(Id)
    """The status of that run."""
    skipped: int = _column(BigInteger, null=False, default=0)
    """Runs that were left out, by `overlap` or `missed`."""
    paused_at: datetime | None = _column(AwareUTC())
    withdrawn_at: datetime | None = _column(AwareUTC())
    """Its application no longer declares it; what is declared again goes on."""
    created_at: datetime = _column(AwareUTC(), null=False)
    updated_at: datetime = _column(AwareUTC(), null=False)


class ScheduleRow(NamedTuple):
    """A row of `forktask_schedule`; each field as the column of that name."""

    id: UUID
    name: str
    application: str
    version: str
    task: str
    title: str | None
    settings: Any
    owner: str | None
    public: int
    queue: str
    priority: int
    start_method: StartMethod | None
    metadata: Any
    every: float | None
    cron: str | None
    timezone: str | None
    start_at: datetime | None
    end_at: datetime | None
    jitter: float
    missed: str
    overlap: str
    anchor_at: datetime
    due_at: datetime | None
    next_at: datetime | None
    held_at: datetime | None
    last_due_at: datetime | None
    last_status_id: UUID | None
    skipped: int
    paused_at: datetime | None
    withdrawn_at: datetime | None
    created_at: datetime
    updated_at: datetime


SCHEDULE: Table = ScheduleTable.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
Index("forktask_schedule_next", SCHEDULE.c.next_at)
"""Serves the look for what is due, the only one that is made again and again."""
