"""Queues: what waits in them, in which order, and which of them are held up."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Integer, bindparam, delete, func, or_, select, update

from forktask import clock
from forktask.rows import Due
from forktask.states import State
from forktask.store import conditions
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.saving import insert_once
from forktask.store.statements import Statement, database_now
from forktask.tables import QUEUE, QUEUED_STATE, STATUS

IS_DUE: Final = or_(STATUS.c.run_after.is_(None), STATUS.c.run_after <= database_now())
UNBOUND: Final = STATUS.c.bound == 0
MOST_AHEAD: Final = 1000
"""Places that are told; beyond them nobody wants to know."""


class Queues:
    """Rows that were left to a queue, in its order: the highest priority first, then who is due longest, then by id."""

    database: Database

    def due_in(self, queue: str, tasks: Collection[str], limit: int) -> list[Due]:
        """Return rows of one queue that may start now and whose task is one of `tasks`."""
        if not tasks or limit < 1:
            return []
        values = padded("task", sorted(tasks))
        rows = self.database.rows(select_due_in, len(values), values=values | {"queue": queue, "limit": limit})
        return [Due._make(row) for row in rows]

    def due_by_id(self, status_id: UUID, tasks: Collection[str]) -> list[Due]:
        """Return the one row, if it may start now, whatever its queue, and its task is one of `tasks`."""
        if not tasks:
            return []
        values = padded("task", sorted(tasks))
        rows = self.database.rows(select_due_by_id, len(values), values=values | {"status_id": status_id})
        return [Due._make(row) for row in rows]

    def waiting_tasks(self, queue: str) -> list[str]:
        """Return the names of the tasks that wait in a queue, now or for a later time."""
        return [row[0] for row in self.database.rows(select_waiting_tasks, values={"queue": queue})]

    def waiting_queues(self) -> list[str]:
        """Return the names of queues in which something waits, now or for a later time."""
        return [row[0] for row in self.database.rows(select_waiting_queues, values={})]

    def queue_counts(self) -> dict[str, tuple[int, int]]:
        """Return, for each queue that has any, how many rows wait and how many run or are paused."""
        found: dict[str, tuple[int, int]] = {}
        for queue, state, count in self.database.rows(select_queue_counts, values={}):
            waiting, running = found.get(queue, (0, 0))
            is_waiting = state is State.QUEUED
            found[queue] = (waiting + count * is_waiting, running + count * (not is_waiting))
        return found

    def awaits(self, queues: Collection[str], tasks: Collection[str]) -> bool:
        """Return True if a row of these queues waits, now or for a later time, whose task is one of `tasks`."""
        if not queues or not tasks:
            return False
        values = padded("queue", sorted(queues)) | padded("task", sorted(tasks))
        counts = (len(padded("queue", sorted(queues))), len(padded("task", sorted(tasks))))
        return bool(self.database.rows(select_awaited_in, *counts, values=values))

    def paused_queues(self) -> frozenset[str]:
        """Return the names of those that were told to wait."""
        return frozenset(row[0] for row in self.database.rows(select_paused_queues, values={}))

    def pause_queue(self, name: str) -> None:
        """Let nothing more be taken from a queue; what runs goes on."""
        values = {"name": name, "paused_at": clock.now()}

        def work(cursor: Any) -> None:
            self.database.compiled(insert_once, QUEUE, self.database.kind).change(cursor, values)
            self.database.compiled(update_queue_paused).change(cursor, values)

        self.database.run(work, transaction=True)

    def resume_queue(self, name: str) -> bool:
        """Let a queue go on; return False if it was not held up."""
        return self.database.change(delete_queue, values={"name": name}) > 0

    def line_of(self, queue: str) -> list[tuple[UUID, str]]:
        """Return id and task of the rows of a queue that may start, in their order; at most `MOST_AHEAD`."""
        rows = self.database.rows(select_line, values={"queue": queue, "limit": MOST_AHEAD})
        return [(row[0], row[1]) for row in rows]

    def running_in(self, queue: str) -> dict[str, int]:
        """Return how many rows of each task of a queue are under way."""
        return {task: int(count) for task, count in self.database.rows(select_running_in, values={"queue": queue})}


def select_due_in(tasks: int) -> Statement:
    """Rows of one queue that may start now."""
    return (
        select(*(STATUS.c[name] for name in Due._fields))
        .where(
            QUEUED_STATE,
            STATUS.c.queue == given("queue"),
            IS_DUE,
            UNBOUND,
            conditions.NOT_CANCELLED,
            STATUS.c.task.in_(one_of("task", tasks)),
        )
        .order_by(STATUS.c.priority.desc(), STATUS.c.due_at, STATUS.c.id)
        .limit(bindparam("limit", type_=Integer))
    )


def select_due_by_id(tasks: int) -> Statement:
    """One row that may start now."""
    return select(*(STATUS.c[name] for name in Due._fields)).where(
        conditions.THIS,
        conditions.QUEUED,
        IS_DUE,
        UNBOUND,
        conditions.NOT_CANCELLED,
        STATUS.c.task.in_(one_of("task", tasks)),
    )


def select_waiting_tasks() -> Statement:
    """Tasks of which something waits in one queue."""
    return select(STATUS.c.task).where(QUEUED_STATE, STATUS.c.queue == given("queue"), UNBOUND).distinct()


def select_waiting_queues() -> Statement:
    """Queues in which something waits."""
    return select(STATUS.c.queue).where(QUEUED_STATE, STATUS.c.queue.is_not(None)).distinct()


def select_queue_counts() -> Statement:
    """Rows of each queue that are not final, by state."""
    return (
        select(STATUS.c.queue, STATUS.c.state, func.count())
        .where(conditions.LIVE, STATUS.c.queue.is_not(None))
        .group_by(STATUS.c.queue, STATUS.c.state)
    )


def select_awaited_in(queues: int, tasks: int) -> Statement:
    """One row of some queues and tasks."""
    these = (STATUS.c.queue.in_(one_of("queue", queues)), STATUS.c.task.in_(one_of("task", tasks)))
    return select(STATUS.c.id).where(QUEUED_STATE, *these, UNBOUND).limit(1)


def select_paused_queues() -> Statement:
    """Queues that were told to wait."""
    return select(QUEUE.c.name).where(QUEUE.c.paused_at.is_not(None))


def update_queue_paused() -> Statement:
    """One queue is to wait; who says so first counts."""
    asked = func.coalesce(QUEUE.c.paused_at, bindparam("paused_at", type_=QUEUE.c.paused_at.type))
    return update(QUEUE).values(paused_at=asked).where(_THIS_QUEUE)


def delete_queue() -> Statement:
    """Nothing is said of a queue any more."""
    return delete(QUEUE).where(_THIS_QUEUE)


def select_line() -> Statement:
    """Rows of one queue that may start now, whatever their tasks."""
    return (
        select(STATUS.c.id, STATUS.c.task)
        .where(QUEUED_STATE, STATUS.c.queue == given("queue"), IS_DUE)
        .order_by(STATUS.c.priority.desc(), STATUS.c.due_at, STATUS.c.id)
        .limit(bindparam("limit", type_=Integer))
    )


def select_running_in() -> Statement:
    """How many rows of each task of a queue are under way."""
    this = (conditions.LIVE, conditions.UNDER_WAY, STATUS.c.queue == given("queue"))
    return select(STATUS.c.task, func.count()).where(*this).group_by(STATUS.c.task)


_THIS_QUEUE = QUEUE.c.name == bindparam("name", type_=QUEUE.c.name.type)
