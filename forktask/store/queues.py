"""Queues: what waits in them, which of them are held up, and how much of them runs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, delete, func, or_, select, update

from forktask import clock
from forktask.limit import Limit, QueueRow, said_of
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


class Queues:
    """Rows that were left to a queue, and what was said of queues; their order is that of `Lines`."""

    database: Database

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

    def waits_in(self, queues: Collection[str]) -> bool:
        """Return True if something waits in one of these queues, now or for a later time."""
        if not queues:
            return False
        values = padded("queue", sorted(queues))
        return bool(self.database.rows(select_waiting_in, len(values), values=values))

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

    def queue_rows(self) -> list[QueueRow]:
        """Return what was said of queues."""
        return [QueueRow._make(row) for row in self.database.rows(select_queue_rows, values={})]

    def paused_queues(self) -> frozenset[str]:
        """Return the names of those that were told to wait."""
        return frozenset(row.name for row in self.queue_rows() if row.paused_at is not None)

    def pause_queue(self, name: str) -> None:
        """Let nothing more be taken from a queue; what runs goes on."""
        self._say(name, update_queue_paused, {"paused_at": clock.now()})

    def limit_queue(self, name: str, limit: Limit | None) -> None:
        """Say how much of a queue runs at once and begins in a time."""
        self._say(name, update_queue_limit, said_of(limit))

    def resume_queue(self, name: str) -> bool:
        """Let a queue go on; return False if it was not held up."""

        def work(cursor: Any) -> bool:
            was_paused = self.database.compiled(update_queue_resumed).change(cursor, {"name": name}) > 0
            self.database.compiled(delete_queue).change(cursor, {"name": name})
            return was_paused

        return self.database.run(work, transaction=True)

    def _say(self, name: str, update: Any, said: dict[str, Any]) -> None:
        def work(cursor: Any) -> None:
            values = dict.fromkeys(QueueRow._fields) | {"name": name}
            self.database.compiled(insert_once, QUEUE, self.database.kind).change(cursor, values)
            self.database.compiled(update).change(cursor, {"name": name, **said})
            self.database.compiled(delete_queue).change(cursor, {"name": name})

        self.database.run(work, transaction=True)

    def running_in(self, queue: str) -> dict[str, int]:
        """Return how many rows of each task of a queue are under way."""
        return {task: int(count) for task, count in self.database.rows(select_running_in, values={"queue": queue})}


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


def select_waiting_in(queues: int) -> Statement:
    """One row that waits in one of some queues."""
    return select(STATUS.c.id).where(QUEUED_STATE, STATUS.c.queue.in_(one_of("queue", queues))).limit(1)


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


def select_queue_rows() -> Statement:
    """What was said of queues."""
    return select(*(QUEUE.c[name] for name in QueueRow._fields))


def update_queue_paused() -> Statement:
    """One queue is to wait; who says so first counts."""
    asked = func.coalesce(QUEUE.c.paused_at, bindparam("paused_at", type_=QUEUE.c.paused_at.type))
    return update(QUEUE).values(paused_at=asked).where(_THIS_QUEUE)


def update_queue_resumed() -> Statement:
    """One queue is to wait no more."""
    return update(QUEUE).values(paused_at=None).where(_THIS_QUEUE, QUEUE.c.paused_at.is_not(None))


def update_queue_limit() -> Statement:
    """Say how much of one queue runs."""
    said = {name: bindparam(name, type_=QUEUE.c[name].type) for name in ("running", "rate", "per")}
    return update(QUEUE).values(said).where(_THIS_QUEUE)


def delete_queue() -> Statement:
    """A queue of which nothing is said any more."""
    said = (QUEUE.c.paused_at, QUEUE.c.running, QUEUE.c.rate)
    return delete(QUEUE).where(_THIS_QUEUE, *(column.is_(None) for column in said))


def select_running_in() -> Statement:
    """How many rows of each task of a queue are under way."""
    this = (conditions.LIVE, conditions.UNDER_WAY, STATUS.c.queue == given("queue"))
    return select(STATUS.c.task, func.count()).where(*this).group_by(STATUS.c.task)


_THIS_QUEUE = QUEUE.c.name == bindparam("name", type_=QUEUE.c.name.type)
