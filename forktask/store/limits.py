"""Limits: how much may run at once and begin in a time, counted from the rows that live."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Table, bindparam, func, literal_column, select, update

from forktask.limit import Limit, LimitRow, Room, said_of
from forktask.store import conditions
from forktask.store.admission import UNDER_WAY, limit_columns, room
from forktask.store.conditions import given
from forktask.store.database import Database
from forktask.store.saving import insert_once
from forktask.store.statements import Statement, database_now
from forktask.tables import LIMIT, QUEUE, STATUS

MOST_NAMES: Final = 500
"""Limits that are looked at in one look; the others at the next."""


class Limits:
    """What is said of limits, and where there is room."""

    database: Database

    def write_limits(self, names: Collection[str], limit: Limit) -> None:
        """Say what holds under these names from now on; nothing is written where it is known already."""
        for name in sorted(set(names)):
            said = said_of(limit)
            known = self.database.rows(select_limit, values={"name": name})
            if known and known[0] == tuple(said.values()):
                continue
            values = {"name": name, "next_at": None, **said}
            self.database.change(insert_once, LIMIT, self.database.kind, values=values)
            self.database.change(update_limit, LIMIT, values=values)

    def waits_under_limit(self) -> bool:
        """Return True if something waits that has a limit."""
        return bool(self.database.rows(select_any_name, values={}))

    def rooms(self, after: str = "") -> dict[str, Room]:
        """Return, for each limit that something waits for, how much may begin; in the order of their names.

        Args:
            after: The last name of those that are known; there are never more than `MOST_NAMES`.
        """
        rows = self.database.rows(select_rooms, self.database.kind, values={"after": after})
        return {row[0]: room(LimitRow._make(row[:5]), row[5], row[6]) for row in rows}

    def room_of_queue(self, queue: LimitRow) -> Room:
        """Return how much of a queue may begin."""
        (row,) = self.database.rows(select_queue_room, values={"queue": queue.name})
        return room(queue._replace(next_at=row[0]), row[1], row[2])


def select_limit() -> Statement:
    """What is said under one name."""
    this = LIMIT.c.name == bindparam("name", type_=LIMIT.c.name.type)
    return select(LIMIT.c.running, LIMIT.c.rate, LIMIT.c.per).where(this)


def update_limit(table: Table) -> Statement:
    """Say what holds from now on; when the next may begin stays, see `admission.room`."""
    said = {name: bindparam(f"{name}", type_=table.c[name].type) for name in ("running", "rate", "per")}
    return update(table).values(said).where(table.c.name == bindparam("name", type_=table.c.name.type))


def select_any_name() -> Statement:
    """One row that waits and has a limit."""
    return select(STATUS.c.id).where(conditions.LIVE, conditions.QUEUED, STATUS.c.limit_name.is_not(None)).limit(1)


def select_rooms(kind: str) -> Statement:
    """The limits that something waits for, and what runs under each; also those of which nothing is said."""
    names = _distinct_names() if kind not in ("sqlite", "postgresql") else _names_one_by_one()
    other = STATUS.alias("one")
    count = (
        select(func.count())
        .select_from(other)
        .where(conditions.LIVE, conditions.under_way(other), other.c.limit_name == names.c.name)
        .correlate(names)
        .scalar_subquery()
    )
    return (
        select(names.c.name, *limit_columns(LIMIT)[1:], count, database_now())
        .select_from(names.outerjoin(LIMIT, LIMIT.c.name == names.c.name))
        .where(names.c.name.is_not(None))
        .order_by(names.c.name)
    )


def _distinct_names() -> Any:
    after = STATUS.c.limit_name > bindparam("after", type_=STATUS.c.limit_name.type)
    query = select(STATUS.c.limit_name.label("name")).where(conditions.LIVE, conditions.QUEUED, after).distinct()
    return query.order_by(STATUS.c.limit_name).limit(literal_column(str(MOST_NAMES))).subquery("waiting")


def _names_one_by_one() -> Any:
    """One step in the index from name to name, however many rows have it."""

    def following(alias: str, after: Any) -> Any:
        other = STATUS.alias(alias)
        waits = (conditions.LIVE, other.c.state == literal_column("'queued'"), other.c.limit_name > after)
        return select(other.c.limit_name).where(*waits).order_by(other.c.limit_name).limit(literal_column("1"))

    first = following("first", bindparam("after", type_=STATUS.c.limit_name.type)).scalar_subquery()
    number: ColumnElement[int] = literal_column("1", Integer)
    waiting = select(first.label("name"), number.label("number")).cte("waiting", recursive=True)
    step = following("other", waiting.c.name).correlate(waiting).scalar_subquery()
    more = (waiting.c.name.is_not(None), waiting.c.number < literal_column(str(MOST_NAMES)))
    return waiting.union_all(select(step, waiting.c.number + 1).where(*more))


def select_queue_room() -> Statement:
    """When the next one of a queue may begin, and how many are under way."""
    running = select(func.count()).where(conditions.LIVE, UNDER_WAY, STATUS.c.queue == given("queue")).scalar_subquery()
    next_at = select(QUEUE.c.next_at).where(QUEUE.c.name == given("queue")).scalar_subquery()
    return select(next_at, running, database_now())
