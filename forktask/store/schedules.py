"""Recurring tasks: what is declared, what is due, and the one run of each due time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, delete, literal_column, select, update

from forktask.rows import StatusRow
from forktask.schedule.planning import Plan
from forktask.schedule.table import SCHEDULE, ScheduleRow, schedule_id
from forktask.store import conditions
from forktask.store.database import Build, Database
from forktask.store.saving import insert_once
from forktask.store.statements import Statement, Values, database_now
from forktask.tables import STATUS

Change = tuple[ScheduleRow, dict[str, Any]]
"""A row as it was seen, and the columns that are to say something else."""


class Schedules:
    """Rows of `forktask_schedule`, and the statuses that they order."""

    database: Database

    def schedules(self) -> tuple[list[ScheduleRow], datetime]:
        """Return all recurring tasks, by name, and the time of the database."""
        return self.database.run(lambda cursor: self._with_time(cursor, select_schedules, {}))

    def due_schedules(self, ahead: float) -> tuple[list[ScheduleRow], datetime]:
        """Return what is due until `ahead` seconds from now, the first first, and the time of the database."""
        values = {"microseconds": round(-ahead * 1_000_000)}
        return self.database.run(lambda cursor: self._with_time(cursor, select_due_schedules, values))

    def _with_time(self, cursor: Any, build: Build, values: Values) -> tuple[list[ScheduleRow], datetime]:
        (now,) = self.database.compiled(select_time).rows(cursor, {})[0]
        rows = self.database.compiled(build).rows(cursor, values)
        return [ScheduleRow._make(row) for row in rows], now

    def schedule(self, name: str) -> ScheduleRow | None:
        """Return the recurring task of this name, or None."""
        rows = self.database.rows(select_schedule, values={"this": schedule_id(name)})
        return ScheduleRow._make(rows[0]) if rows else None

    def has_schedules(self) -> bool:
        """Return True if anything will be due."""
        return bool(self.database.rows(select_any_schedule, values={}))

    def write_schedules(self, new: Collection[ScheduleRow], changed: Collection[Change]) -> None:
        """Write new rows, unless somebody has meanwhile, and changes of those that are as they were seen."""
        if not new and not changed:
            return

        def work(cursor: Any) -> None:
            for row in sorted(new):
                self.database.compiled(insert_once, SCHEDULE, self.database.kind).change(cursor, row._asdict())
            for row, values in sorted(changed, key=lambda change: change[0].id):
                self._change_schedule(cursor, row, values)

        self.database.run(work, transaction=True)

    def change_schedule(self, row: ScheduleRow, values: dict[str, Any]) -> bool:
        """Change a row; return False if it is not as it was seen any more."""
        return self.database.run(lambda cursor: self._change_schedule(cursor, row, values)) > 0

    def _change_schedule(self, cursor: Any, row: ScheduleRow, values: dict[str, Any]) -> int:
        statement = self.database.compiled(update_schedule, row.due_at is not None, *sorted(values))
        seen = {"this": row.id, "seen_due_at": row.due_at, "seen_updated_at": row.updated_at}
        return statement.change(cursor, values | seen)

    def remove_schedule(self, name: str) -> bool:
        """Delete a recurring task; return False if there is none of this name."""
        return self.database.change(delete_schedule, values={"this": schedule_id(name)}) > 0

    def is_live(self, status_id: UUID | None) -> bool:
        """Return True if there is this status, and it has not ended."""
        return status_id is not None and bool(self.database.rows(select_live_status, values={"status_id": status_id}))

    def order_runs(self, row: ScheduleRow, what: Plan, runs: Sequence[StatusRow]) -> list[UUID]:
        """Carry out a plan in one transaction: of many that have the same, one does.

        A run that was ordered for its due time before, since when the clock was set back, is not ordered again.

        Returns:
            The ids of the runs that were ordered by this call.
        """

        def work(cursor: Any) -> list[UUID]:
            values: dict[str, Any] = {"due_at": what.due_at, "next_at": what.next_at}
            (now,) = self.database.compiled(select_time).rows(cursor, {})[0]
            values |= {"held_at": (row.held_at or now) if what.held else None, "updated_at": now}
            values["skipped"] = row.skipped + what.skipped
            if runs:
                values |= {"last_due_at": what.runs[-1]}
            if not self._change_schedule(cursor, row, values):
                return []
            ordered = [self._order(cursor, run) for run in runs]
            if runs:
                last = {"this": row.id, "last_status_id": ordered[-1][0]}
                self.database.compiled(update_last).change(cursor, last)
            return [status_id for status_id, is_new in ordered if is_new]

        return self.database.run(work, transaction=True)

    def _order(self, cursor: Any, run: StatusRow) -> tuple[UUID, bool]:
        self.database.compiled(insert_once, STATUS, self.database.kind).change(cursor, run._asdict())
        rows = self.database.compiled(select_run).rows(cursor, {"once_key": run.once_key})
        return rows[0][0], rows[0][0] == run.id


THIS = SCHEDULE.c.id == bindparam("this", type_=SCHEDULE.c.id.type)


def _given(column: str, name: str = "") -> Any:
    return bindparam(name or column, type_=SCHEDULE.c[column].type)


def select_time() -> Statement:
    """What time it is."""
    return select(database_now())


def select_schedules() -> Statement:
    """All recurring tasks."""
    return select(SCHEDULE).order_by(SCHEDULE.c.name)


def select_schedule() -> Statement:
    """One recurring task."""
    return select(SCHEDULE).where(THIS)


def select_due_schedules() -> Statement:
    """What is due until a moment."""
    until = database_now(bindparam("microseconds", type_=BigInteger))
    return select(SCHEDULE).where(SCHEDULE.c.next_at <= until).order_by(SCHEDULE.c.next_at)


def select_any_schedule() -> Statement:
    """One recurring task that will be due."""
    return select(SCHEDULE.c.id).where(SCHEDULE.c.next_at.is_not(None)).limit(1)


def update_schedule(has_due: bool, *columns: str) -> Statement:
    """One row, if it is as it was seen."""
    seen = SCHEDULE.c.due_at == _given("due_at", "seen_due_at") if has_due else SCHEDULE.c.due_at.is_(None)
    return (
        update(SCHEDULE)
        .values({name: _given(name) for name in columns})
        .where(THIS, seen, SCHEDULE.c.updated_at == _given("updated_at", "seen_updated_at"))
    )


def update_last() -> Statement:
    """Which status the last run is."""
    return update(SCHEDULE).values(last_status_id=_given("last_status_id")).where(THIS)


def delete_schedule() -> Statement:
    """One recurring task less."""
    return delete(SCHEDULE).where(THIS)


def select_live_status() -> Statement:
    """A status, if it has not ended."""
    return select(literal_column("1")).where(conditions.THIS, conditions.LIVE)


def select_run() -> Statement:
    """The run of a due time."""
    return select(STATUS.c.id).where(STATUS.c.once_key == conditions.given("once_key"))
