"""Orders of people, and the ends that a supervisor did not write: each one guarded change."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, func, select, update

from forktask import clock
from forktask.errors import DuplicateError
from forktask.rows import StatusRow
from forktask.states import Cause, State
from forktask.store import conditions
from forktask.store.claims import cancelled_waiting, now
from forktask.store.conditions import given
from forktask.store.database import Build, Database
from forktask.store.failures import StoreRefusedError
from forktask.store.lines import COMES_LATER
from forktask.store.saving import insert_once
from forktask.store.statements import AT, Statement, ago, database_now
from forktask.tables import ATTEMPT, STATUS


class Orders:
    """What any process may do to a row; each returns whether the row was in a state that allows it."""

    database: Database

    def cancel_waiting(self, status_id: UUID) -> bool:
        """End a status of which no attempt is under way."""
        return self._change(update_cancelled, status_id=status_id)

    def request_cancel(self, status_id: UUID) -> bool:
        """Ask the supervisor to end the attempt that is under way."""
        return self._change(update_cancel_requested, status_id=status_id)

    def pause_waiting(self, status_id: UUID) -> bool:
        """Hold a status back that has not begun."""
        return self._change(update_waiting, True, status_id=status_id)

    def resume_waiting(self, status_id: UUID) -> bool:
        """Let a status go that was held back."""
        return self._change(update_waiting, False, status_id=status_id)

    def request_pause(self, status_id: UUID, paused: bool) -> bool:
        """Ask the supervisor to stop the runner, or to let it go on."""
        return self._change(update_pause_requested, paused, status_id=status_id)

    def retry(self, status_id: UUID, attempt: int, *, completed: bool = False) -> bool:
        """Begin attempt n + 1 of a status that failed, was cancelled or lost.

        Args:
            completed: Also of one that completed.

        Raises:
            DuplicateError: Another one with its unique key has not ended.
        """
        try:
            return self._change(update_retried, completed, status_id=status_id, this_attempt=attempt)
        except StoreRefusedError:
            if (twin := self._twin(status_id)) is not None:
                raise DuplicateError(twin.task, twin.id, twin.state) from None
            raise

    def _twin(self, status_id: UUID) -> StatusRow | None:
        """Return the row that has not ended and has the unique key of this one."""
        for (key,) in self.database.rows(select_key, values={"status_id": status_id}):
            for row in self.database.rows(select_living, self.database.kind, False, values={"unique_key": key}):
                return StatusRow._make(row)
        return None

    def mark_lost(
        self, status_id: UUID, attempt: int, seen: str, *, error: str, reference: str, retry_at: datetime | None = None
    ) -> State | None:
        """Move one attempt to `lost`, once; or begin the next one at `retry_at`.

        Args:
            seen: What proved it, for the operator ("pid 4711 started 09:14:02 is gone").
            error: The sentence for the person.

        Returns:
            What follows, lost or queued; None if the attempt had already ended, or a newer one runs.
        """
        end = _end(Cause.SUPERVISOR_GONE, error, reference)
        if retry_at is not None:
            end["microseconds"] = ago(retry_at)
        return self._end_by_others(status_id, attempt, seen, end, State.LOST)

    def fail_launch(self, status_id: UUID, attempt: int, *, error: str, reference: str, detail: str) -> bool:
        """Fail an attempt of which nothing ran.

        Args:
            error: The sentence for the person.
            detail: What happened, for the operator.
        """
        end = _end(Cause.LAUNCH, error, reference)
        return self._end_by_others(status_id, attempt, detail, end, State.FAILED) is not None

    def _change(self, build: Build, *arguments: Hashable, **values: Any) -> bool:
        values["now"] = clock.now()
        return self.database.change(build, *arguments, values=values) > 0

    def _end_by_others(
        self, status_id: UUID, attempt: int, detail: str, end: dict[str, Any], state: State
    ) -> State | None:
        time = clock.now()
        this = {"status_id": status_id, "this_attempt": attempt, "now": time}

        def work(cursor: Any) -> State | None:
            rows = self.database.compiled(select_endable, state is State.FAILED).rows(cursor, this)
            if not rows:
                return None
            row = StatusRow._make(rows[0])
            again = "microseconds" in end and row.cancel_requested_at is None
            target = State.QUEUED if again else state
            self.database.compiled(update_ended, target).change(cursor, this | end)
            ended = _attempt(row, target, detail, end, time)
            self.database.compiled(insert_once, ATTEMPT, self.database.kind).change(cursor, ended)
            return target

        return self.database.run(work, transaction=True)


def _end(cause: Cause, error: str, reference: str) -> dict[str, Any]:
    return {"cause": cause, "error": error, "reference": reference}


def _attempt(row: StatusRow, state: State, detail: str, end: dict[str, Any], finished_at: datetime) -> dict[str, Any]:
    values = dict.fromkeys(column.name for column in ATTEMPT.c)
    return values | {
        "status_id": row.id,
        "attempt": row.attempt,
        "state": state,
        "cause": end["cause"],
        "reference": end["reference"],
        "error": end["error"],
        "traceback": detail,
        "log_dropped": 0,
        "supervisor_id": row.supervisor_id,
        "pid": row.runner_pid,
        "started_at": row.started_at,
        "finished_at": finished_at,
    }


def select_key() -> Statement:
    """The unique key of one row."""
    return select(STATUS.c.unique_key).where(conditions.THIS)


def select_living(kind: str, lock: bool) -> Statement:
    """The row that keeps others with its key out."""
    query = select(STATUS).where(conditions.has_key(kind))
    return query.with_for_update() if lock else query


def update_cancelled() -> Statement:
    """End what waits."""
    return (
        update(STATUS)
        .values(updated_at=now(), **cancelled_waiting())
        .where(conditions.THIS, conditions.QUEUED | conditions.PAUSED_WAITING)
    )


def update_cancel_requested() -> Statement:
    """Ask for a cancel; the first one counts."""
    asked = func.coalesce(STATUS.c.cancel_requested_at, now())
    return (
        update(STATUS).values(cancel_requested_at=asked, updated_at=now()).where(conditions.THIS, conditions.UNDER_WAY)
    )


def update_waiting(paused: bool) -> Statement:
    """Between queued and paused, with no attempt under way."""
    source, target = conditions.QUEUED, State.PAUSED
    if not paused:
        source, target = conditions.PAUSED_WAITING, State.QUEUED
    return update(STATUS).values(state=target, updated_at=now()).where(conditions.THIS, source)


def update_pause_requested(paused: bool) -> Statement:
    """Ask for a pause, or take that back."""
    return (
        update(STATUS)
        .values(pause_requested_at=now() if paused else None, updated_at=now())
        .where(conditions.THIS, conditions.UNDER_WAY)
    )


def update_retried(completed: bool) -> Statement:
    """Begin the next attempt of what ended."""
    ended = (State.FAILED, State.CANCELLED, State.LOST, *((State.COMPLETED,) if completed else ()))
    # Not `attempt + 1`: MariaDB would see the new value of `attempt` in what it sets after it.
    following = bindparam("this_attempt", type_=STATUS.c.attempt.type) + 1
    return (
        update(STATUS)
        .values(
            state=State.QUEUED,
            max_attempts=case((STATUS.c.max_attempts > following, STATUS.c.max_attempts), else_=following),
            attempt=following,
            run_after=None,
            due_at=database_now(),
            later=COMES_LATER,
            updated_at=now(),
            **conditions.NO_END,
            **conditions.NO_PROGRESS,
            **conditions.NO_REQUESTS,
        )
        .where(conditions.THIS_ATTEMPT, conditions.state_in(*ended))
    )


def select_endable(waiting: bool) -> Statement:
    """Lock an attempt that has not ended; `waiting`: one of which nothing ran, too."""
    states = conditions.UNDER_WAY | conditions.QUEUED if waiting else conditions.UNDER_WAY
    return select(STATUS).where(conditions.THIS_ATTEMPT, states).with_for_update()


def update_ended(state: State) -> Statement:
    """The end of an attempt that is locked."""
    values: dict[str, Any] = {name: given(name) for name in ("cause", "error", "reference")}
    values |= {"state": state, "updated_at": now(), "finished_at": now(), **conditions.NO_RUNNER}
    if state is State.QUEUED:
        values |= conditions.NO_REQUESTS | {"state": conditions.QUEUED_OR_PAUSED}
        values |= {"attempt": STATUS.c.attempt + 1, "run_after": AT, "due_at": AT, "finished_at": None}
        values["later"] = COMES_LATER
    return update(STATUS).values(values).where(conditions.THIS_ATTEMPT)
