"""Writing a new row, and reading rows."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import bindparam, insert, select

from forktask.rows import AttemptRow, LogRow, StatusRow
from forktask.states import LIVE, State
from forktask.store import conditions
from forktask.store.database import Database
from forktask.store.statements import Statement
from forktask.tables import ATTEMPT, LOG, STATUS


class Statuses:
    """Rows of `forktask_status` and what belongs to them."""

    database: Database

    def insert(self, row: StatusRow) -> None:
        """Write a new row; it is committed when this returns.

        Raises:
            StoreRefusedError: A row with this id is there already, among other reasons.
        """
        values = row._asdict()
        self.database.change(insert_status, values=values)

    def get(self, status_id: UUID) -> StatusRow | None:
        """Return the row, or None if there is none with this id."""
        rows = self.database.rows(select_status, values={"status_id": status_id})
        return StatusRow._make(rows[0]) if rows else None

    def find(
        self, *, state: Collection[State] = (), task: str | None = None, owner: str | None = None, limit: int = 100
    ) -> list[StatusRow]:
        """Return rows, the newest first; `state` empty: in any."""
        shape = (tuple(sorted(set(state))), task is not None, owner is not None)
        values = {"task": task, "owner": owner, "limit": limit}
        rows = self.database.rows(select_statuses, *shape, values=values)
        return [StatusRow._make(row) for row in rows]

    def attempts(self, status_id: UUID) -> list[AttemptRow]:
        """Return the attempts that ended, the first one first."""
        rows = self.database.rows(select_attempts, values={"status_id": status_id})
        return [AttemptRow._make(row) for row in rows]

    def log(self, status_id: UUID, attempt: int | None = None) -> list[LogRow]:
        """Return what was captured, in order; of all attempts or of one."""
        values = {"status_id": status_id, "attempt": attempt}
        rows = self.database.rows(select_log, attempt is not None, values=values)
        return [LogRow._make(row) for row in rows]


def insert_status() -> Statement:
    """One new row."""
    return insert(STATUS)


def select_status() -> Statement:
    """One row by its id."""
    return select(STATUS).where(conditions.THIS)


def select_statuses(states: tuple[State, ...], by_task: bool, by_owner: bool) -> Statement:
    """Rows, the newest first."""
    query = select(STATUS).order_by(STATUS.c.id.desc()).limit(bindparam("limit", type_=STATUS.c.attempt.type))
    if states:
        query = query.where(conditions.state_in(*states))
        if LIVE.issuperset(states):
            query = query.where(conditions.LIVE)
    if by_task:
        query = query.where(STATUS.c.task == conditions.given("task"))
    if by_owner:
        query = query.where(STATUS.c.owner == conditions.given("owner"))
    return query


def select_attempts() -> Statement:
    """The attempts of one status."""
    this = ATTEMPT.c.status_id == bindparam("status_id", type_=ATTEMPT.c.status_id.type)
    return select(ATTEMPT).where(this).order_by(ATTEMPT.c.attempt)


def select_log(of_attempt: bool) -> Statement:
    """The captured output of one status."""
    query = select(LOG).where(LOG.c.status_id == bindparam("status_id", type_=LOG.c.status_id.type))
    if of_attempt:
        query = query.where(LOG.c.attempt == bindparam("attempt", type_=LOG.c.attempt.type))
    return query.order_by(LOG.c.attempt, LOG.c.position)
