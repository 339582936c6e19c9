"""What is counted for an operator."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from forktask.selection import Selection
from forktask.states import State
from forktask.store import conditions
from forktask.store.database import Database
from forktask.store.listing import shape_of, where
from forktask.store.statements import Statement
from forktask.tables import QUEUED_STATE, STATUS


class Figures:
    """Counts over the whole table."""

    database: Database

    def counts_by_task(self, selection: Selection) -> dict[str, dict[State, int]]:
        """Return how many rows fit, by task and state."""
        found: dict[str, dict[State, int]] = {}
        shape, values = shape_of(selection)
        for task, state, count in self.database.rows(select_counts_by_task, *shape, values=values):
            found.setdefault(task, {})[state] = int(count)
        return found

    def waiting_since(self) -> datetime | None:
        """Return since when the row waits that has been due longest; None: none waits."""
        rows = self.database.rows(select_waiting_since, values={})
        return rows[0][0] if rows else None

    def running_by_supervisor(self) -> dict[object, int]:
        """Return how many attempts are under way, by the id of their supervisor."""
        rows = self.database.rows(select_running_by_supervisor, values={})
        return {supervisor: int(count) for supervisor, count in rows}


def select_counts_by_task(states: tuple[State, ...], names: frozenset[str]) -> Statement:
    """How many rows fit, by task and state."""
    by = (STATUS.c.task, STATUS.c.state)
    return select(*by, func.count()).where(*where(states, names)).group_by(*by)


def select_waiting_since() -> Statement:
    """The row that has been due longest."""
    return select(STATUS.c.due_at).where(conditions.LIVE, QUEUED_STATE).order_by(STATUS.c.due_at).limit(1)


def select_running_by_supervisor() -> Statement:
    """How many attempts are under way with each supervisor."""
    return (
        select(STATUS.c.supervisor_id, func.count())
        .where(conditions.LIVE, conditions.UNDER_WAY)
        .group_by(STATUS.c.supervisor_id)
    )
