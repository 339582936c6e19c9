"""What a supervisor writes of the rows under its watch, and what it asks about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, func, literal_column, select, update

from forktask import clock
from forktask.dialects import insert_unless_there
from forktask.rows import End, LogRow, Request, Sample
from forktask.sentences import sentence
from forktask.states import Cause, State
from forktask.store import conditions
from forktask.store.claims import now
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.lines import COMES_LATER
from forktask.store.statements import AT, Statement, ago
from forktask.tables import ATTEMPT, COMPLETED_STATE, LOG, STATUS

COMPLETED = "Done"
"""The message of a task that completed without one."""

REPORTED = ("percent", "message", "done", "total", "unit", "active_seconds", "pace_low", "pace_high")
ATTEMPT_COLUMNS = tuple(column.name for column in ATTEMPT.c)
_of_attempt = attrgetter(*ATTEMPT_COLUMNS)
KEPT_UNLESS_GIVEN = ("warnings", "phases", "checkpoint")


class Saving:
    """Samples, ends, captured output; and the requests of people."""

    database: Database

    def save(self, samples: Sequence[Sample], ends: Sequence[End], log: Sequence[LogRow] = ()) -> set[UUID]:
        """Write all in one transaction; safe to repeat after an error.

        An end with the state `queued` of a status that was asked to cancel in this moment becomes `cancelled`; of one
        that was asked to pause, `paused`.

        Returns:
            The ids of those that were not written, since their attempt is no longer under way: the caller was
            superseded.
        """
        if not samples and not ends and not log:
            return set()
        # Always in the same order, so that two supervisors never wait for each other.
        changes = [_sample_values(sample) for sample in sorted(samples, key=lambda sample: sample.status_id.int)]
        closing = sorted(ends, key=lambda end: end.status_id.int)

        def work(cursor: Any) -> set[UUID]:
            counts = self.database.compiled(update_sample).change_each(cursor, changes) if changes else []
            missed = {values["status_id"] for values, count in zip(changes, counts, strict=True) if not count}
            missed.update(self._end(cursor, closing))
            going = [end for end in closing if end.deletes]
            if log:
                unread = {end.status_id for end in going if end.heir is None}
                rows = [row._asdict() for row in log if row.status_id not in unread]
                self.database.compiled(insert_once, LOG, self.database.kind).change_many(cursor, rows)
            for end in going:
                self._delete(cursor, end)
            return missed

        return self.database.run(work, transaction=True)

    def _end(self, cursor: Any, ends: Sequence[End]) -> list[UUID]:
        """Write ends and their attempts, as many as can be in one statement.

        Returns:
            The ids of those whose attempt was not under way.
        """
        written: list[End] = []
        refused: list[End] = []
        missed: list[UUID] = []
        for kind, same in groupby(sorted(ends, key=_kind_of), key=_kind_of):
            alike = list(same)
            statement = self.database.compiled(update_end, *kind)
            counts = statement.change_each(cursor, [_end_values(end) for end in alike])
            for end, count in zip(alike, counts, strict=True):
                (written if count else refused).append(end)
        for end in refused:
            if (cancelled := self._end_cancelled(cursor, end)) is not None:
                written.append(cancelled)
            elif not self._is_written(cursor, end):
                missed.append(end.status_id)
        if written:
            attempts = [_attempt_values(end) for end in written]
            self.database.compiled(insert_once, ATTEMPT, self.database.kind).change_many(cursor, attempts)
        return missed

    def _end_cancelled(self, cursor: Any, end: End) -> End | None:
        """Cancel what was asked to cancel when it was to be run again; return None if it was not."""
        if end.state is not State.QUEUED:
            return None
        cancelled = end._replace(
            state=State.CANCELLED,
            cause=Cause.CANCELLED,
            error=sentence(Cause.CANCELLED),
            run_after=None,
            counts=True,
        )
        changed = self.database.compiled(update_end, *_kind_of(cancelled)).change(cursor, _end_values(cancelled))
        return cancelled if changed else None

    def _is_written(self, cursor: Any, end: End) -> bool:
        values = {"status_id": end.status_id, "this_attempt": end.attempt, "supervisor_id": end.supervisor_id}
        return bool(self.database.compiled(select_own_attempt).rows(cursor, values))

    def _delete(self, cursor: Any, end: End) -> None:
        """Delete what completed, and what belongs to it alone."""
        this = {"status_id": end.status_id}
        if not self.database.compiled(delete_completed).change(cursor, this):
            return
        if end.heir is not None:
            heir = {"heir": end.heir[0], "heir_attempt": end.heir[1]}
            self.database.compiled(update_owner).change(cursor, this | {"this_attempt": end.attempt} | heir)
        for table in (ATTEMPT, LOG):
            self.database.compiled(delete_parts, table).change(cursor, this)

    def requests(self, ids: Collection[UUID]) -> list[Request]:
        """Return what people asked of these rows, and whose they are now."""
        if not ids:
            return []
        values = padded("id", sorted(ids))
        rows = self.database.rows(select_requests, len(values), values=values)
        return [Request._make(row) for row in rows]

    def set_paused(self, status_id: UUID, attempt: int, paused: bool) -> bool:
        """Say that the runner of this attempt was stopped, or goes on; return False if it could not be so."""
        values = {"status_id": status_id, "this_attempt": attempt, "now": clock.now()}
        return self.database.change(update_paused, paused, values=values) > 0


def _sample_values(sample: Sample) -> dict[str, Any]:
    names = (*REPORTED, *KEPT_UNLESS_GIVEN, "status_id")
    values = {name: getattr(sample, name) for name in names}
    return values | {"this_attempt": sample.attempt, "now": clock.now()}


def _kind_of(end: End) -> tuple[State, bool, bool]:
    """Return what tells which statement writes an end."""
    return end.state, end.last is not None, end.run_after is not None


def _end_values(end: End) -> dict[str, Any]:
    values = {
        "status_id": end.status_id,
        "this_attempt": end.attempt,
        "cause": end.cause,
        "error": end.error,
        "reference": end.reference,
        "result": end.result,
        "started_at": end.started_at,
        "finished_at": end.finished_at,
        "now": clock.now(),
        "uncounted": 0 if end.counts else 1,
    }
    if end.run_after is not None:
        values["microseconds"] = ago(end.run_after)
    return _sample_values(end.last) | values if end.last is not None else values


def _attempt_values(end: End) -> dict[str, Any]:
    return dict(zip(ATTEMPT_COLUMNS, _of_attempt(end), strict=True))


def _reported() -> dict[str, Any]:
    given_now: dict[str, Any] = {name: given(name) for name in REPORTED}
    return given_now | {name: func.coalesce(given(name), STATUS.c[name]) for name in KEPT_UNLESS_GIVEN}


def update_sample() -> Statement:
    """What one runner reported last."""
    return update(STATUS).values(updated_at=now(), **_reported()).where(conditions.THIS_ATTEMPT, conditions.UNDER_WAY)


def update_end(state: State, has_last: bool, is_later: bool) -> Statement:
    """The end of one attempt; with the state `queued` also the beginning of the next."""
    values = {"state": state, "updated_at": now(), **conditions.NO_RUNNER}
    values |= {name: given(name) for name in ("cause", "error", "reference")}
    if has_last:
        values |= _reported()
    where = [conditions.THIS_ATTEMPT, conditions.UNDER_WAY]
    if state is State.QUEUED:
        where.append(conditions.NOT_CANCELLED)
        values |= conditions.NO_REQUESTS | {"state": conditions.QUEUED_OR_PAUSED}
        values |= {"attempt": STATUS.c.attempt + 1, "run_after": AT if is_later else None, "finished_at": None}
        values["due_at"] = AT if is_later else now()
        if is_later:
            values["later"] = COMES_LATER
        values["max_attempts"] = STATUS.c.max_attempts + bindparam("uncounted", type_=STATUS.c.max_attempts.type)
    else:
        values |= {"result": given("result"), "finished_at": given("finished_at")}
        # A runner that is kept for many tasks has their rows before it begins them.
        values["started_at"] = func.coalesce(given("started_at"), STATUS.c.started_at)
    if state is State.COMPLETED:
        values["percent"] = 100.0
        values["message"] = func.coalesce(values.get("message", STATUS.c.message), COMPLETED)
    return update(STATUS).values(values).where(*where)


def select_own_attempt() -> Statement:
    """Whether this very supervisor has written this end before."""
    return select(literal_column("1")).where(
        ATTEMPT.c.status_id == bindparam("status_id", type_=ATTEMPT.c.status_id.type),
        ATTEMPT.c.attempt == bindparam("this_attempt", type_=ATTEMPT.c.attempt.type),
        ATTEMPT.c.supervisor_id == bindparam("supervisor_id", type_=ATTEMPT.c.supervisor_id.type),
    )


def delete_completed() -> Statement:
    """A row that is to go when it has completed."""
    return delete(STATUS).where(conditions.THIS, COMPLETED_STATE, STATUS.c.delete_on_completion == literal_column("1"))


def delete_parts(table: Table) -> Statement:
    """What belongs to a status that is gone."""
    return delete(table).where(table.c.status_id == bindparam("status_id", type_=table.c.status_id.type))


def update_owner() -> Statement:
    """The output of one attempt becomes that of another one."""
    heir = {
        "status_id": bindparam("heir", type_=LOG.c.status_id.type),
        "attempt": bindparam("heir_attempt", type_=LOG.c.attempt.type),
    }
    this = LOG.c.status_id == bindparam("status_id", type_=LOG.c.status_id.type)
    return update(LOG).values(heir).where(this, LOG.c.attempt == bindparam("this_attempt", type_=LOG.c.attempt.type))


def insert_once(table: Table, kind: str) -> Statement:
    """One row, unless a row with its key is there already."""
    return insert_unless_there(kind, table, next(iter(table.primary_key)))


def select_requests(ids: int) -> Statement:
    """What people asked of some rows."""
    return select(*(STATUS.c[name] for name in Request._fields)).where(STATUS.c.id.in_(one_of("id", ids)))


def update_paused(paused: bool) -> Statement:
    """Between running and paused, with an attempt under way."""
    source, target = (State.RUNNING, State.PAUSED) if paused else (State.PAUSED, State.RUNNING)
    return (
        update(STATUS)
        .values(state=target, updated_at=now())
        .where(conditions.THIS_ATTEMPT, conditions.state_in(source), conditions.HAS_RUNNER)
    )
