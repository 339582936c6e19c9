"""Who may begin under a limit: counted in the transaction that claims, from the rows that live."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, ColumnElement, Table, bindparam, func, literal_column, select, update

from forktask.limit import LimitRow, Room
from forktask.rows import Claim
from forktask.store import conditions
from forktask.store.conditions import one_of, padded
from forktask.store.database import Database
from forktask.store.statements import Statement, database_now
from forktask.tables import LIMIT, QUEUE, STATUS

PLENTY: Final = 1 << 30
SLACK: Final = 60.0
"""Seconds by which the clock of the database may have been set back before a rate takes no notice of it."""
UNDER_WAY: Final = conditions.under_way(STATUS)


def room(limit: LimitRow, under_way: int, now: datetime) -> Room:
    """Return how much may begin under a limit."""
    places = PLENTY if limit.running is None else max(0, limit.running - under_way)
    if limit.rate is None:
        return Room(places, None)
    wait = (limit.next_at - now).total_seconds() if limit.next_at is not None else 0.0
    if wait > limit.interval + SLACK:
        wait = 0.0  # nobody can have begun so late: the clock was set back, or the rate was another one
    if wait > 0 or places == 0:
        return Room(0, wait if places else None)
    return Room(1, limit.interval)


def admitted(database: Database, cursor: Any, claims: Sequence[Claim]) -> list[Claim]:
    """Return those that their limits let through, the first ones; the limits are locked until the transaction ends."""
    rooms: dict[tuple[str, str], int] = {}
    for table, kind in ((LIMIT, "limit_name"), (QUEUE, "queue")):
        names = {name for claim in claims for key, name in _keys(claim) if key == kind}
        rooms |= {(kind, name): found for name, found in _locked(database, cursor, table, names).items()}
    chosen = []
    for claim in claims:
        keys = [key for key in _keys(claim) if key in rooms]
        if all(rooms[key] > 0 for key in keys):
            rooms |= {key: rooms[key] - 1 for key in keys}
            chosen.append(claim)
    return chosen


def note_begun(database: Database, cursor: Any, claims: Iterable[Claim], begun: Collection[UUID]) -> None:
    """Note when the next one may begin, for those limits that have a rate."""
    counts = Counter(key for claim in claims if claim.status_id in begun for key in _keys(claim))
    for table, kind in ((LIMIT, "limit_name"), (QUEUE, "queue")):
        for name in sorted(name for key, name in counts if key == kind):
            database.compiled(update_next, table).change(cursor, {"name": name})


def _keys(claim: Claim) -> list[tuple[str, str]]:
    named = (("limit_name", claim.limit_name), ("queue", claim.limited_queue))
    return [(kind, name) for kind, name in named if name is not None]


def _locked(database: Database, cursor: Any, table: Table, names: Collection[str]) -> dict[str, int]:
    """Lock limits; return how much may begin under each. One of which nothing is said is none."""
    if not names:
        return {}
    column = "limit_name" if table is LIMIT else "queue"
    values = padded("name", sorted(names))
    found = database.compiled(select_locked, table, len(values)).rows(cursor, values)
    values = padded(column, sorted(names))
    # A statement of its own: it sees what those have committed who had the lock before.
    counts = dict(database.compiled(select_counts, column, len(values)).rows(cursor, values))
    return {row[0]: room(LimitRow._make(row[:5]), counts.get(row[0], 0), row[5]).places for row in found}


def limit_columns(table: Table) -> list[ColumnElement[Any]]:
    """Return the columns of a `LimitRow`."""
    return [table.c[name] for name in LimitRow._fields]


def select_locked(table: Table, names: int) -> Statement:
    """Lock limits, always in the same order."""
    these = [bindparam(f"name_{number}", type_=table.c.name.type) for number in range(names)]
    return (
        select(*limit_columns(table), database_now())
        .where(table.c.name.in_(these))
        .order_by(table.c.name)
        .with_for_update()
    )


def select_counts(column: str, names: int) -> Statement:
    """How much is under way for each of some names."""
    return (
        select(STATUS.c[column], func.count())
        .where(conditions.LIVE, UNDER_WAY, STATUS.c[column].in_(one_of(column, names)))
        .group_by(STATUS.c[column])
    )


def update_next(table: Table) -> Statement:
    """One has begun; the next one may after so many microseconds, if there is a rate."""
    microseconds = func.round(table.c.per * literal_column("-1000000") / table.c.rate).cast(BigInteger)
    this = table.c.name == bindparam("name", type_=table.c.name.type)
    return update(table).values(next_at=database_now(microseconds)).where(this, table.c.rate.is_not(None))
