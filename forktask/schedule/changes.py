"""From what was said of a recurring task to the columns of its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forktask.schedule.declaration import RULE, Declaration, rule_of
from forktask.schedule.planning import begins
from forktask.schedule.table import ScheduleRow, schedule_id

NOT_DUE: dict[str, Any] = {"due_at": None, "next_at": None, "held_at": None}
NEW: dict[str, Any] = dict.fromkeys(ScheduleRow._fields) | {"skipped": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose word it is: an application's code, or, empty, a command's."""

    application: str = ""
    version: str = ""


def new_row(said: Declaration, source: Source, now: datetime) -> ScheduleRow:
    """Return the row of a recurring task that there was not yet."""
    anchor = said.start_at or now.replace(microsecond=0)
    row = ScheduleRow(
        **NEW
        | said.values()
        | {"id": schedule_id(said.name), "application": source.application, "version": source.version}
        | {"anchor_at": anchor, "created_at": now, "updated_at": now}
    )
    return row._replace(**next_due(row, now))


def changes(row: ScheduleRow, said: Declaration, source: Source, now: datetime) -> dict[str, Any]:
    """Return what is to be changed of a row so that it says this; empty: nothing."""
    told = said.values() | {"application": source.application, "version": source.version}
    changed = {name: value for name, value in told.items() if getattr(row, name) != value}
    begins_anew = row.withdrawn_at is not None or not changed.keys().isdisjoint(RULE)
    if not changed and not begins_anew:
        return {}
    if "start_at" in changed:
        changed["anchor_at"] = said.start_at or row.created_at.replace(microsecond=0)
    if begins_anew:
        changed |= {"withdrawn_at": None}
        changed |= next_due(row._replace(**changed), now)
    return changed | {"updated_at": now}


def next_due(row: ScheduleRow, now: datetime) -> dict[str, Any]:
    """Return the columns that say when it is due next, whatever was due until now."""
    if row.paused_at is not None or row.withdrawn_at is not None:
        return NOT_DUE
    due = rule_of(row, row.anchor_at).next_after(now)
    return {"due_at": due, "next_at": None if due is None else begins(row, due), "held_at": None}


def paused(row: ScheduleRow, now: datetime) -> dict[str, Any]:
    """Return the columns of one that is paused: nothing is due, and nothing of it is made up for."""
    return NOT_DUE | {"paused_at": row.paused_at or now, "updated_at": now}


def resumed(row: ScheduleRow, now: datetime) -> dict[str, Any]:
    """Return the columns of one that goes on."""
    return {"paused_at": None, "updated_at": now} | next_due(row._replace(paused_at=None), now)


def withdrawn(now: datetime) -> dict[str, Any]:
    """Return the columns of one that its application no longer declares."""
    return NOT_DUE | {"withdrawn_at": now, "updated_at": now}


def set_back(row: ScheduleRow, now: datetime) -> dict[str, Any]:
    """Return what is to be changed where the clock was set back, so that its next due time is not the next any more."""
    if row.due_at is None:
        return {}
    first = next_due(row, now)
    return first | {"updated_at": now} if first["due_at"] is not None and first["due_at"] < row.due_at else {}
