"""Rows that wait, and of those the ones that only one process can start."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select, update

from forktask.rows import StatusRow
from forktask.store import conditions
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.statements import Statement, database_now
from forktask.tables import STATUS


class Waiting:
    """What is queued, as seen by those who may have to start it."""

    database: Database

    def adopt(self, status_ids: Collection[UUID], supervisor_id: UUID) -> None:
        """Note which supervisor keeps the arguments of these waiting rows."""
        if not status_ids:
            return
        values: dict[str, Any] = padded("id", sorted(status_ids)) | {"supervisor_id": supervisor_id}
        self.database.change(update_adopted, len(values) - 1, values=values)

    def bound(self) -> list[StatusRow]:
        """Return the queued rows that only one process can start, the oldest first."""
        return [StatusRow._make(row) for row in self.database.rows(select_bound, values={})]

    def has_waiting(self) -> bool:
        """Return True if a row that any supervisor may start could start now."""
        return bool(self.database.rows(select_waiting, values={}))


def update_adopted(ids: int) -> Statement:
    """Waiting rows get a keeper."""
    return (
        update(STATUS)
        .values(supervisor_id=given("supervisor_id"))
        .where(STATUS.c.id.in_(one_of("id", ids)), conditions.QUEUED)
    )


def select_bound() -> Statement:
    """Queued rows that are bound to a process."""
    return (
        select(STATUS)
        .where(conditions.LIVE, conditions.QUEUED, STATUS.c.start_method.is_not(None))
        .order_by(STATUS.c.id)
    )


def select_waiting() -> Statement:
    """One queued row whose time has come."""
    is_due = or_(STATUS.c.run_after.is_(None), STATUS.c.run_after <= database_now())
    return (
        select(STATUS.c.id).where(conditions.LIVE, conditions.QUEUED, STATUS.c.start_method.is_(None), is_due).limit(1)
    )
