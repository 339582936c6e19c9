"""Rows as an operator asks for them: by a selection, by the beginning of an id, by a reference."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, select, union

from forktask.rows import LogRow, StatusRow
from forktask.selection import Selection, first_id_at
from forktask.states import LIVE, State
from forktask.store import conditions
from forktask.store.conditions import given
from forktask.store.database import Database
from forktask.store.statements import Statement, Values
from forktask.tables import ATTEMPT, LOG, STATUS

Shape = tuple[tuple[State, ...], frozenset[str]]
"""The states and the names of the conditions that a selection has."""


PLAIN: Final = ("task", "queue", "owner", "finished_before", "finished_since")
"""Fields of a selection that go into a statement as they are."""


class Listing:
    """Rows of `forktask_status` that fit a selection; each look reads a limited number of them."""

    database: Database

    def listed(self, selection: Selection, *, limit: int, before: UUID | None = None) -> list[StatusRow]:
        """Return rows that fit, the newest first.

        Args:
            before: Only older ones than that, to go on where an earlier call ended.
        """
        shape, values = shape_of(selection, before=before)
        rows = self.database.rows(select_listed, *shape, values={**values, "limit": limit})
        return [StatusRow._make(row) for row in rows]

    def listed_after(self, selection: Selection, *, limit: int, after: UUID | None = None) -> list[StatusRow]:
        """Return rows that fit, the oldest first; `after`: only newer ones than that."""
        shape, values = shape_of(selection, after=after)
        rows = self.database.rows(select_listed_after, *shape, values={**values, "limit": limit})
        return [StatusRow._make(row) for row in rows]

    def count(self, selection: Selection) -> dict[State, int]:
        """Return how many rows fit, by state."""
        shape, values = shape_of(selection)
        return {state: int(count) for state, count in self.database.rows(select_count, *shape, values=values)}

    def ids_between(self, first: UUID, last: UUID, limit: int) -> list[UUID]:
        """Return ids from `first` to `last`, in order."""
        values = {"first": first, "last": last, "limit": limit}
        return [row[0] for row in self.database.rows(select_ids_between, values=values)]

    def newest_ids(self, limit: int) -> list[UUID]:
        """Return the ids of the newest rows."""
        return [row[0] for row in self.database.rows(select_newest_ids, values={"limit": limit})]

    def ids_of_reference(self, reference: str) -> list[UUID]:
        """Return the ids of rows of which an attempt ended with this reference."""
        return [row[0] for row in self.database.rows(select_ids_of_reference, values={"reference": reference})]

    def log_after(self, status_id: UUID, attempt: int, position: int, limit: int) -> list[LogRow]:
        """Return captured output after a place in it, in order; attempt 0: from the beginning."""
        values = {"status_id": status_id, "after_attempt": attempt, "after_position": position, "limit": limit}
        return [LogRow._make(row) for row in self.database.rows(select_log_after, values=values)]

    def log_tail(self, status_id: UUID, limit: int) -> list[LogRow]:
        """Return the last pieces of captured output, in order."""
        rows = self.database.rows(select_log_tail, values={"status_id": status_id, "limit": limit})
        return [LogRow._make(row) for row in reversed(rows)]


def shape_of(selection: Selection, **rest: UUID | None) -> tuple[Shape, Values]:
    """Return what the statement depends on, and the values for it."""
    values = {
        name: getattr(selection, name) for name in ("task", "queue", "owner", "finished_before", "finished_since")
    }
    values["since"] = first_id_at(selection.since) if selection.since is not None else None
    values |= rest
    there = {name: value for name, value in values.items() if value is not None}
    return (tuple(sorted(selection.states)), frozenset(there)), there


def _id(name: str) -> ColumnElement[UUID]:
    return bindparam(name, type_=STATUS.c.id.type)


def _limit() -> ColumnElement[int]:
    return bindparam("limit", type_=STATUS.c.attempt.type)


def where(states: tuple[State, ...], names: frozenset[str]) -> list[ColumnElement[bool]]:
    """Return the conditions of a selection."""
    known: dict[str, ColumnElement[bool]] = {
        "since": STATUS.c.id >= _id("since"),
        "before": STATUS.c.id < _id("before"),
        "after": STATUS.c.id > _id("after"),
        "finished_before": STATUS.c.finished_at < bindparam("finished_before", type_=STATUS.c.finished_at.type),
        "finished_since": STATUS.c.finished_at >= bindparam("finished_since", type_=STATUS.c.finished_at.type),
    }
    found = [known[name] if name in known else STATUS.c[name] == given(name) for name in sorted(names)]
    if states:
        found.append(conditions.state_in(*states))
        if LIVE.issuperset(states):
            found.append(conditions.LIVE)  # type: ignore[arg-type]
    return found


def select_listed(states: tuple[State, ...], names: frozenset[str]) -> Statement:
    """Rows that fit, the newest first."""
    return select(STATUS).where(*where(states, names)).order_by(STATUS.c.id.desc()).limit(_limit())


def select_listed_after(states: tuple[State, ...], names: frozenset[str]) -> Statement:
    """Rows that fit, the oldest first."""
    return select(STATUS).where(*where(states, names)).order_by(STATUS.c.id).limit(_limit())


def select_count(states: tuple[State, ...], names: frozenset[str]) -> Statement:
    """How many rows fit."""
    return select(STATUS.c.state, func.count()).where(*where(states, names)).group_by(STATUS.c.state)


def select_ids_between() -> Statement:
    """Ids of a range."""
    return (
        select(STATUS.c.id)
        .where(STATUS.c.id >= _id("first"), STATUS.c.id <= _id("last"))
        .order_by(STATUS.c.id)
        .limit(_limit())
    )


def select_newest_ids() -> Statement:
    """Ids, the newest first."""
    return select(STATUS.c.id).order_by(STATUS.c.id.desc()).limit(_limit())


def select_ids_of_reference() -> Statement:
    """Rows by what a person quotes: of the last attempt in the row, of earlier ones beside it."""
    reference = bindparam("reference", type_=STATUS.c.reference.type)
    of_row: Select[tuple[UUID]] = select(STATUS.c.id).where(STATUS.c.reference == reference)
    of_attempt = select(ATTEMPT.c.status_id).where(ATTEMPT.c.reference == reference)
    found = union(of_row, of_attempt).subquery()
    return select(STATUS.c.id).where(STATUS.c.id.in_(select(found.c.id)))


def select_log_after() -> Statement:
    """Captured output of one status, from a place on."""
    attempt = bindparam("after_attempt", type_=LOG.c.attempt.type)
    position = bindparam("after_position", type_=LOG.c.position.type)
    later = (LOG.c.attempt > attempt) | ((LOG.c.attempt == attempt) & (LOG.c.position > position))
    this = LOG.c.status_id == bindparam("status_id", type_=LOG.c.status_id.type)
    return select(LOG).where(this, later).order_by(LOG.c.attempt, LOG.c.position).limit(_limit())


def select_log_tail() -> Statement:
    """The end of what one status has put out."""
    this = LOG.c.status_id == bindparam("status_id", type_=LOG.c.status_id.type)
    return select(LOG).where(this).order_by(LOG.c.attempt.desc(), LOG.c.position.desc()).limit(_limit())
