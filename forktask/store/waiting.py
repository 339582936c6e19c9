"""What waits in the table, as seen by those who may have to start it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer, bindparam, or_, select, update

from forktask.rows import Due, Scope, StatusRow
from forktask.store import conditions
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.lines import IN_LINE, ORDER
from forktask.store.queues import IS_DUE, UNBOUND
from forktask.store.statements import Statement, database_now
from forktask.tables import QUEUED_STATE, STATUS


class Waiting:
    """Rows that are queued; of those the bound ones, which only one process can start."""

    database: Database

    def due(self, scope: Scope, limit: int, *, limit_name: str | None = None) -> list[Due]:
        """Return initiated rows that may start now, the highest priority first, then the oldest.

        Args:
            limit_name: Those that wait under this limit; None: those without one.
        """
        if not scope.tasks or limit < 1:
            return []
        values, counts = _values(scope)
        values |= {"limit": limit, "line": f":{limit_name}"}
        rows = self.database.rows(select_due, *counts, limit_name is not None, values=values)
        return [Due._make(row) for row in rows]

    def is_awaited(self, scope: Scope) -> bool:
        """Return True if an initiated row waits, now or for a later time, that is this supervisor's to start."""
        values, counts = _values(scope)
        return bool(scope.tasks) and bool(self.database.rows(select_awaited, *counts, values=values))

    def unknown(self, scope: Scope, *, of_nobody: bool) -> list[tuple[UUID, int, str]]:
        """Return (id, attempt, task) of rows that wait, longer than the grace, for a task that is not registered.

        Args:
            of_nobody: Also those that are of no application in particular.
        """
        values, counts = _values(scope)
        rows = self.database.rows(select_unknown, *counts, of_nobody, values=values)
        return [(row[0], row[1], row[2]) for row in rows]

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
        """Return True if a row that is not bound could start now."""
        return bool(self.database.rows(select_waiting, values={}))


def _values(scope: Scope) -> tuple[dict[str, Any], tuple[int, int, int]]:
    tasks = padded("task", sorted(scope.tasks)) if scope.tasks else {}
    mine, others = padded("mine", sorted(scope.mine)), padded("other", sorted(scope.neighbours) or [""])
    rest = {"application": scope.application, "microseconds": round(scope.grace * 1_000_000)}
    return tasks | mine | others | rest, (len(tasks), len(mine), len(others))


OURS = or_(STATUS.c.application.is_(None), STATUS.c.application == given("application"))


def _names(name: str, count: int) -> list[BindParameter[str]]:
    return [bindparam(f"{name}_{number}", type_=STATUS.c.destination.type) for number in range(count)]


def _mine(names: int) -> ColumnElement[bool]:
    """We were told of it, or one that we replace, or nobody."""
    return or_(STATUS.c.destination.is_(None), STATUS.c.destination.in_(_names("mine", names)))


def _free(neighbours: int) -> ColumnElement[bool]:
    """No other supervisor that lives was told of it."""
    return or_(STATUS.c.destination.is_(None), STATUS.c.destination.not_in(_names("other", neighbours)))


def _left_alone() -> ColumnElement[bool]:
    """It has been waiting longer than the grace."""
    ago = database_now(bindparam("microseconds", type_=BigInteger))
    return (STATUS.c.created_at < ago) & or_(STATUS.c.run_after.is_(None), STATUS.c.run_after < ago)


def select_due(tasks: int, mine: int, neighbours: int, is_limited: bool = False) -> Statement:
    """Initiated rows that may start now."""
    query = (
        select(*(STATUS.c[name] for name in Due._fields))
        .where(STATUS.c.queue.is_(None), UNBOUND, conditions.NOT_CANCELLED)
        .where(STATUS.c.task.in_(one_of("task", tasks)), or_(_mine(mine), _free(neighbours) & _left_alone()))
        .limit(bindparam("limit", type_=Integer))
    )
    if is_limited:
        return query.where(QUEUED_STATE, STATUS.c.line == given("line"), IN_LINE).order_by(*ORDER)
    return (
        query.where(QUEUED_STATE, STATUS.c.limit_name.is_(None), IS_DUE)
        # MariaDB would find them by another index that has their queue, which is null, and sort them.
        .with_hint(STATUS, "FORCE INDEX (forktask_status_of_no_queue)", "mysql")
        .with_hint(STATUS, "FORCE INDEX (forktask_status_of_no_queue)", "mariadb")
        .order_by(STATUS.c.priority.desc(), STATUS.c.id)
    )


def select_awaited(tasks: int, mine: int, neighbours: int) -> Statement:
    """One initiated row that will be ours to start."""
    known = STATUS.c.task.in_(one_of("task", tasks))
    ours = or_(_mine(mine), _free(neighbours) & OURS)
    initiated = STATUS.c.queue.is_(None)
    return select(STATUS.c.id).where(conditions.LIVE, conditions.QUEUED, initiated, UNBOUND, known, ours).limit(1)


def select_unknown(tasks: int, mine: int, neighbours: int, of_nobody: bool) -> Statement:
    """Rows that wait for a task which this process does not know."""
    query = select(STATUS.c.id, STATUS.c.attempt, STATUS.c.task).where(
        conditions.LIVE,
        conditions.QUEUED,
        UNBOUND,
        _free(neighbours),
        OURS if of_nobody else STATUS.c.application == given("application"),
        _left_alone(),
    )
    return query.where(STATUS.c.task.not_in(one_of("task", tasks))) if tasks else query


def update_adopted(ids: int) -> Statement:
    """Waiting rows get a keeper."""
    return (
        update(STATUS)
        .values(supervisor_id=given("supervisor_id"))
        .where(STATUS.c.id.in_(one_of("id", ids)), conditions.QUEUED | conditions.PAUSED_WAITING)
    )


def select_bound() -> Statement:
    """Queued rows that are bound to a process."""
    return select(STATUS).where(conditions.LIVE, conditions.QUEUED, STATUS.c.bound == 1).order_by(STATUS.c.id)


def select_waiting() -> Statement:
    """One queued row whose time has come."""
    return select(STATUS.c.id).where(conditions.LIVE, conditions.QUEUED, UNBOUND, IS_DUE).limit(1)
