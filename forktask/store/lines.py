"""Lines: in which order rows are taken from them, so that owners take turns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Select, bindparam, case, func, literal_column, select, update

from forktask.rows import Due, StatusRow
from forktask.states import State
from forktask.store import conditions
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.statements import Statement, database_now
from forktask.tables import QUEUED_STATE, STATUS

AT_ONCE: Final = 250
"""Most rows that come in line in one transaction."""
MOST_AHEAD: Final = 1000
"""Places that are told; beyond them nobody wants to know."""

IN_LINE: Final = STATUS.c.later == literal_column("0")
IS_LATER: Final = STATUS.c.later == literal_column("1")
FREE: Final = (STATUS.c.bound == literal_column("0"), conditions.NOT_CANCELLED)
ORDER: Final = (STATUS.c.priority.desc(), STATUS.c.turn, STATUS.c.due_at, STATUS.c.id)
ONE: Final[ColumnElement[int]] = literal_column("1")
COMES_LATER: Final = case((STATUS.c.line.is_not(None), literal_column("1")), else_=literal_column("0"))
"""What `later` becomes where `run_after` is set: what was initiated without a limit stands in no line."""


class Lines:
    """Rows that wait in line: the highest priority first, then by turns, then who is due longest, then by id."""

    database: Database

    def due_in(self, queue: str, tasks: Collection[str], limit: int, *, limit_name: str | None = None) -> list[Due]:
        """Return rows of one queue that may start now and whose task is one of `tasks`; of those with one limit."""
        if not tasks or limit < 1:
            return []
        values = padded("task", sorted(tasks))
        line = {"line": queue} if limit_name is None else {"line": f":{limit_name}", "queue": queue}
        rows = self.database.rows(
            select_due_in, len(values), limit_name is not None, values=values | line | {"limit": limit}
        )
        return [Due._make(row) for row in rows]

    def line_of(self, line: str) -> list[tuple[UUID, str]]:
        """Return id and task of the rows of a line that may start, in their order; at most `MOST_AHEAD`."""
        rows = self.database.rows(select_line, values={"line": line, "limit": MOST_AHEAD})
        return [(row[0], row[1]) for row in rows]

    def bring_in_line(self) -> bool:
        """Give their turns to rows whose time has come, the longest due first; return True if there may be more."""
        found = self.database.rows(select_come, values={"limit": AT_ONCE})
        if not found:
            return False
        values = [{"status_id": row[0], **place(*row[1:])} for row in found]

        def work(cursor: Any) -> None:
            self.database.compiled(update_come, self.database.kind).change_each(cursor, values)

        self.database.run(work, transaction=True)
        return len(found) == AT_ONCE


def place(line: str | None, priority: int, lane: str) -> dict[str, Any]:
    """Return the values that `next_turn` takes."""
    return {"of_line": line, "of_priority": priority, "of_lane": lane}


def comes_in_line(row: StatusRow) -> bool:
    """Return True if a new row gets its turn at once."""
    return row.state is State.QUEUED and row.line is not None and not row.later


def turns(database: Database, cursor: Any, rows: Iterable[StatusRow]) -> Iterator[dict[str, int]]:
    """Yield the turns of rows that are all of one lane: each line is asked once."""
    following: dict[str | None, int] = {}
    for row in rows:
        if not comes_in_line(row):
            yield {}
            continue
        if row.line not in following:
            values = place(row.line, row.priority, row.lane)
            ((following[row.line],),) = database.compiled(select_next_turn, database.kind).rows(cursor, values)
        yield {"turn": following[row.line]}
        following[row.line] += 1


def next_turn(kind: str) -> ColumnElement[int]:
    """The turn of a row that comes in line now: one more than that of its lane, and than that of who is next.

    So in each turn there is one row of each lane, and those who come late wait for two turns at most.
    """
    other = STATUS.alias("other")
    here: list[Any] = [
        QUEUED_STATE,
        other.c.line == bindparam("of_line", type_=STATUS.c.line.type),
        other.c.priority == bindparam("of_priority", type_=STATUS.c.priority.type),
    ]
    in_line = other.c.later == literal_column("0")
    own = other.c.lane == bindparam("of_lane", type_=STATUS.c.lane.type)
    if kind == "sqlite":  # which would sort all that waits where its statistics say that this is little
        first, last = select(func.min(other.c.turn)), select(func.max(other.c.turn))
    else:  # MariaDB would read all that waits for the least of it
        first, last = (select(other.c.turn).order_by(by).limit(ONE) for by in (other.c.turn, other.c.turn.desc()))
    first, last = first.where(*here, in_line), last.where(*here, own)
    greatest = func.max if kind == "sqlite" else func.greatest
    return greatest(_or_zero(first, kind), _or_zero(last, kind)) + ONE


def _or_zero(query: Select[Any], kind: str) -> ColumnElement[int]:
    if kind not in ("sqlite", "postgresql"):
        # MariaDB reads the table that it writes only through a table of its own.
        query = select(query.subquery().c.turn)
    return func.coalesce(query.scalar_subquery(), literal_column("0"))


def select_next_turn(kind: str) -> Statement:
    """The turn that comes next."""
    return select(next_turn(kind))


def select_come() -> Statement:
    """Rows that are to come in line."""
    return (
        select(STATUS.c.id, STATUS.c.line, STATUS.c.priority, STATUS.c.lane)
        .where(QUEUED_STATE, IS_LATER, STATUS.c.due_at <= database_now())
        .order_by(STATUS.c.due_at)
        .limit(bindparam("limit", type_=Integer))
    )


def update_come(kind: str) -> Statement:
    """One row comes in line."""
    return (
        update(STATUS)
        .values(turn=next_turn(kind), later=literal_column("0"))
        .where(conditions.THIS, QUEUED_STATE, IS_LATER)
    )


def select_due_in(tasks: int, is_limited: bool) -> Statement:
    """Rows of one line that may start now; of one queue, where others have a part in the line."""
    of_queue = [STATUS.c.queue == given("queue")] if is_limited else []
    return (
        select(*(STATUS.c[name] for name in Due._fields))
        .where(QUEUED_STATE, STATUS.c.line == given("line"), IN_LINE, *FREE, *of_queue)
        .where(STATUS.c.task.in_(one_of("task", tasks)))
        .order_by(*ORDER)
        .limit(bindparam("limit", type_=Integer))
    )


def select_line() -> Statement:
    """Rows of one line that may start now, whatever their tasks."""
    return (
        select(STATUS.c.id, STATUS.c.task)
        .where(QUEUED_STATE, STATUS.c.line == given("line"), IN_LINE)
        .order_by(*ORDER)
        .limit(bindparam("limit", type_=Integer))
    )
