"""Claiming rows, and giving them back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, case, literal_column, select, update

from forktask import clock
from forktask.identity import Identity
from forktask.rows import Claim, StatusRow
from forktask.states import Cause, State
from forktask.store import conditions
from forktask.store.conditions import given, one_of, padded
from forktask.store.database import Database
from forktask.store.statements import Statement
from forktask.tables import STATUS

NOBODY = UUID(int=0)
CANCELLED_WAITING = "Cancelled before it started."


class Claims:
    """How a supervisor comes to the rows that it runs."""

    database: Database

    def claim(self, claims: Sequence[Claim]) -> list[StatusRow]:
        """Mark rows as running under a supervisor, all in one transaction.

        Returns:
            Those that were still waiting, as they are now; without those that somebody else claimed, cancelled or
            paused.
        """
        if not claims:
            return []
        now = clock.now()
        values = [_claim_values(claim, now) for claim in sorted(claims, key=lambda claim: claim.status_id)]
        work = self._claim_returning if self.database.has_returning else self._claim_locked
        is_one_statement = self.database.has_returning and len(values) == 1
        rows = self.database.run(lambda cursor: work(cursor, values), transaction=not is_one_statement)
        return [StatusRow._make(row) for row in rows]

    def warm_up(self) -> None:
        """Connect, and go the way of a claim once, for a row that does not exist.

        After a fork each page that this process writes is copied first: better now than when somebody waits.
        """
        nobody = Identity(boot_id="", pid_namespace="", pid=0, start_ticks=0)
        self.claim([Claim(status_id=NOBODY, supervisor_id=NOBODY, runner=nobody)])

    def _prepare_claims(self, counts: Collection[int]) -> None:
        """Compile what `claim` runs for about so many rows."""
        if self.database.has_returning:
            self.database.compiled(update_claimed, self.database.kind == "postgresql")
            return
        self.database.compiled(update_free)
        for count in counts:
            self.database.compiled(select_free, count)
            self.database.compiled(select_by_ids, count)

    def _claim_returning(self, cursor: Any, values: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        statement = self.database.compiled(update_claimed, self.database.kind == "postgresql")
        return statement.rows_each(cursor, values)

    def _claim_locked(self, cursor: Any, values: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        """Claim where UPDATE has no RETURNING: lock what is free, change it, then read it."""
        ids = padded("id", [one["status_id"] for one in values])
        free = {row[0] for row in self.database.compiled(select_free, len(ids)).rows(cursor, ids)}
        if not free:
            return []
        mine = [one for one in values if one["status_id"] in free]
        self.database.compiled(update_free).change_each(cursor, mine)
        ids = padded("id", sorted(free))
        return self.database.compiled(select_by_ids, len(ids)).rows(cursor, ids)

    def release(self, status_id: UUID, attempt: int) -> bool:
        """Give back a claimed row of which nothing ran yet: it waits again, at the same attempt.

        If a cancel was asked for meanwhile, that is what it gets.

        Returns:
            False if this attempt is no longer under way.
        """
        values = {"status_id": status_id, "this_attempt": attempt, "now": clock.now()}

        def work(cursor: Any) -> bool:
            if self.database.compiled(update_released).change(cursor, values):
                return True
            return bool(self.database.compiled(update_released_cancelled).change(cursor, values))

        return self.database.run(work, transaction=True)


def _claim_values(claim: Claim, now: datetime) -> dict[str, Any]:
    return {
        "status_id": claim.status_id,
        "supervisor_id": claim.supervisor_id,
        "runner_boot_id": claim.runner.boot_id,
        "runner_pid_namespace": claim.runner.pid_namespace,
        "runner_pid": claim.runner.pid,
        "runner_start_ticks": claim.runner.start_ticks,
        "now": now,
    }


def now() -> Any:
    """Return the parameter for the time of this process."""
    return bindparam("now", type_=STATUS.c.updated_at.type)


def _claimed() -> dict[str, Any]:
    return {
        "state": State.RUNNING,
        **{name: given(name) for name in ("supervisor_id", *conditions.NO_RUNNER)},
        "started_at": now(),
        "updated_at": now(),
        "unique_key": case((STATUS.c.unique_until_start == literal_column("1"), None), else_=STATUS.c.unique_key),
        **conditions.NO_END,
        **conditions.NO_PROGRESS,
    }


def update_claimed(skip_locked: bool) -> Statement:
    """Claim one row and return it; on PostgreSQL past a row that another claims at this moment."""
    free = (conditions.THIS, conditions.QUEUED, conditions.NOT_CANCELLED)
    statement = update(STATUS).values(_claimed()).returning(*STATUS.c)
    if not skip_locked:
        return statement.where(*free)
    locked = select(STATUS.c.id).where(*free).with_for_update(skip_locked=True).scalar_subquery()
    return statement.where(STATUS.c.id == locked)


def select_free(ids: int) -> Statement:
    """Lock rows that still wait."""
    return (
        select(STATUS.c.id)
        .where(STATUS.c.id.in_(one_of("id", ids)), conditions.QUEUED, conditions.NOT_CANCELLED)
        .with_for_update(skip_locked=True)
    )


def update_free() -> Statement:
    """Claim one row that is locked."""
    return update(STATUS).values(_claimed()).where(conditions.THIS)


def select_by_ids(ids: int) -> Statement:
    """Rows by their ids."""
    return select(STATUS).where(STATUS.c.id.in_(one_of("id", ids)))


def update_released() -> Statement:
    """Give back one row."""
    return (
        update(STATUS)
        .values(
            state=conditions.QUEUED_OR_PAUSED,
            pause_requested_at=None,
            started_at=None,
            updated_at=now(),
            **conditions.NO_RUNNER,
        )
        .where(conditions.THIS_ATTEMPT, conditions.UNDER_WAY, conditions.NOT_CANCELLED)
    )


def update_released_cancelled() -> Statement:
    """Give back one row that was cancelled after it had been claimed."""
    end = {"state": State.CANCELLED, "cause": Cause.CANCELLED, "error": CANCELLED_WAITING, "finished_at": now()}
    return (
        update(STATUS)
        .values(**end, started_at=None, updated_at=now(), **conditions.NO_RUNNER)
        .where(conditions.THIS_ATTEMPT, conditions.UNDER_WAY)
    )
