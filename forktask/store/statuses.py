"""Reading rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, literal_column, select, union

from forktask.rows import AttemptRow, LogRow, StatusRow
from forktask.states import LIVE, State
from forktask.store import conditions
from forktask.store.database import Database
from forktask.store.statements import Statement
from forktask.tables import ATTEMPT, COMPLETED_STATE, LOG, STATUS

BESIDE = ("supervisor_id", "runner_boot_id", "runner_pid_namespace", "runner_pid", "runner_start_ticks")
"""Columns that are the same in rows that one runner executes."""
SeenBy = tuple[str | None, str | None]
"""Who looks: owner and visitor."""


class Statuses:
    """Rows of `forktask_status` and what belongs to them."""

    database: Database

    def get(self, status_id: UUID) -> StatusRow | None:
        """Return the row, or None if there is none with this id."""
        rows = self.database.rows(select_status, values={"status_id": status_id})
        return StatusRow._make(rows[0]) if rows else None

    def find(
        self,
        *,
        state: Collection[State] = (),
        task: str | None = None,
        owner: str | None = None,
        ids: Sequence[UUID] = (),
        limit: int = 100,
    ) -> list[StatusRow]:
        """Return rows, the newest first; `state` or `ids` empty: any."""
        if len(ids) == 1 and not (state or task or owner):
            row = self.get(ids[0])  # what most polls ask
            return [row] if row is not None else []
        given = conditions.padded("id", list(ids)) if ids else {}
        shape = (tuple(sorted(set(state))), task is not None, owner is not None, len(given))
        values = {"task": task, "owner": owner, "limit": limit, **given}
        rows = self.database.rows(select_statuses, *shape, values=values)
        return [StatusRow._make(row) for row in rows]

    def find_live(self, seen_by: SeenBy, limit: int) -> list[StatusRow]:
        """Return what has not ended, of an owner, of a visitor, and what is public; the newest first."""
        owner, visitor = seen_by
        values = {"owner": owner, "visitor": visitor, "limit": limit}
        rows = self.database.rows(select_live, owner is not None, visitor is not None, values=values)
        return [StatusRow._make(row) for row in rows]

    def durations(self, task: str, limit: int) -> list[float]:
        """Return how many seconds the last completed runs of a task took, paused time left out.

        A later attempt is left out: it may have gone on where an earlier one stopped.
        """
        rows = self.database.rows(select_durations, values={"task": task, "limit": limit})
        whole = ((end - begin).total_seconds() if begin and end else None for _, begin, end in rows)
        found = [row[0] if row[0] is not None else seconds for row, seconds in zip(rows, whole, strict=True)]
        return [seconds for seconds in found if seconds is not None]

    def attempts(self, status_id: UUID) -> list[AttemptRow]:
        """Return the attempts that ended, the first one first."""
        rows = self.database.rows(select_attempts, values={"status_id": status_id})
        return [AttemptRow._make(row) for row in rows]

    def log(self, status_id: UUID, attempt: int | None = None) -> list[LogRow]:
        """Return what was captured, in order; of all attempts or of one."""
        values = {"status_id": status_id, "attempt": attempt}
        rows = self.database.rows(select_log, attempt is not None, values=values)
        return [LogRow._make(row) for row in rows]

    def count_beside(self, row: StatusRow) -> int:
        """Return how many other rows are under way with the same runner."""
        values = {name: getattr(row, name) for name in BESIDE} | {"status_id": row.id}
        if None in values.values():
            return 0
        return int(self.database.rows(select_beside_count, values=values)[0][0])


def select_status() -> Statement:
    """One row by its id."""
    return select(STATUS).where(conditions.THIS)


def select_statuses(states: tuple[State, ...], by_task: bool, by_owner: bool, ids: int = 0) -> Statement:
    """Rows, the newest first."""
    query = select(STATUS).order_by(STATUS.c.id.desc()).limit(bindparam("limit", type_=STATUS.c.attempt.type))
    if states:
        query = query.where(conditions.state_in(*states))
        if LIVE.issuperset(states):
            query = query.where(conditions.LIVE)
    if ids:
        query = query.where(STATUS.c.id.in_(conditions.one_of("id", ids)))
    if by_task:
        query = query.where(STATUS.c.task == conditions.given("task"))
    if by_owner:
        query = query.where(STATUS.c.owner == conditions.given("owner"))
    return query


def select_durations() -> Statement:
    """The last completed runs of one task."""
    return (
        select(STATUS.c.active_seconds, STATUS.c.started_at, STATUS.c.finished_at)
        .where(STATUS.c.task == conditions.given("task"), COMPLETED_STATE, STATUS.c.attempt == literal_column("1"))
        .order_by(STATUS.c.finished_at.desc())
        .limit(bindparam("limit", type_=STATUS.c.attempt.type))
    )


def select_live(owner: bool, visitor: bool) -> Statement:
    """What has not ended and somebody may see: a look into an index for each reason, however many others wait."""
    reasons: list[ColumnElement[bool]] = [STATUS.c.public == literal_column("1")]
    if owner:
        reasons.append(STATUS.c.owner == conditions.given("owner"))
    if visitor:
        reasons.append(STATUS.c.visitor == conditions.given("visitor"))
    # No limit in here: planners would then read all that an owner ever had, in the hope to meet enough soon.
    seen = union(*(select(STATUS.c.id).where(conditions.LIVE, reason) for reason in reasons)).subquery()
    query = select(STATUS).join(seen, seen.c.id == STATUS.c.id).order_by(STATUS.c.id.desc())
    return query.limit(bindparam("limit", type_=STATUS.c.attempt.type))


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


def select_beside_count() -> Statement:
    """How many other rows are under way with one runner."""
    same = (STATUS.c[name] == conditions.given(name) for name in BESIDE)
    other = STATUS.c.id != bindparam("status_id", type_=STATUS.c.id.type)
    return select(func.count()).select_from(STATUS).where(conditions.LIVE, conditions.UNDER_WAY, other, *same)
