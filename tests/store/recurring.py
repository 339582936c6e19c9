"""Recurring tasks for the tests of the store."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from forktask.rows import StatusRow
from forktask.schedule import declare, declared
from forktask.schedule.changes import Source, new_row
from forktask.schedule.declaration import Declaration, declaration_of, forget
from forktask.schedule.table import ScheduleRow
from forktask.store import Store
from forktask.supervisor.schedules import Schedules
from tests.zoo import nothing

TASK = nothing.name
SHOP = Source(application="shop:app", version="1")
MINUTE = timedelta(minutes=1)
PERIOD = timedelta(minutes=60, seconds=5)
"""A little more than an hour: the same due time must not come twice when time passes by moving the table."""


def said(name: str = "nightly", /, **rule: Any) -> Declaration:
    given = {"every": "1 hour", "name": name} | rule
    return declaration_of(TASK, given, settings=given.pop("settings", {}), options={"queue": "default"})


def entered(store: Store, made: Declaration, source: Source = SHOP) -> ScheduleRow:
    """Return the row of a recurring task that begins now."""
    _, now = store.schedules()
    store.write_schedules([new_row(made, source, now)], [])
    return found(store, made.name)


def found(store: Store, name: str = "nightly") -> ScheduleRow:
    row = store.schedule(name)
    assert row is not None
    return row


def passed(store: Store, row: ScheduleRow, by: timedelta) -> ScheduleRow:
    """Let time pass, as seen from the table."""
    times = ("anchor_at", "start_at", "end_at", "due_at", "next_at", "last_due_at", "held_at", "created_at")
    values = {name: time - by for name in times if (time := getattr(row, name)) is not None}
    assert store.change_schedule(row, values | {"updated_at": row.updated_at + timedelta(milliseconds=1)})
    return found(store, row.name)


def runs(store: Store) -> list[StatusRow]:
    return sorted(store.find(task=TASK, limit=1000), key=lambda row: row.run_after or row.created_at)


def look(store: Store, source: Source | None = None) -> None:
    Schedules(store, source).look()


def finish(store: Store, run: StatusRow) -> None:
    store.cancel_waiting(run.id)


def declare_here(*made: Declaration) -> None:
    for name in declared():
        forget(name)
    for one in made:
        declare(one)
