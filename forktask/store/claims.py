"""Claiming rows, and giving them back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, bindparam, case, func, literal_column, select, update

from forktask import clock
from forktask.identity import Identity
from forktask.rows import Claim, ClaimedRow
from forktask.sentences import sentence
from forktask.states import Cause, State
from forktask.store import conditions
from forktask.store.admission import admitted, note_begun
from forktask.store.conditions import given, one_of, padded, padded_size
from forktask.store.database import Database
from forktask.store.failures import StoreRefusedError
from forktask.store.statements import Statement
from forktask.tables import STATUS

NOBODY = UUID(int=0)
CANCELLED_WAITING = "Cancelled before it started."
CANCELLED_AGAIN = sentence(Cause.CANCELLED)
"""Where an attempt came before the one that did not begin."""


class Claims:
    """How a supervisor comes to the rows that it runs."""

    database: Database

    def claim(self, claims: Sequence[Claim]) -> list[ClaimedRow]:
        """Mark rows as running under a supervisor, all in one transaction; those of one runner in one statement.

        Returns:
            Those that were still waiting, as they are now; without those that somebody else claimed, cancelled or
            paused.
        """
        if not claims:
            return []
        if any(claim.limit_name or claim.limited_queue for claim in claims):
            return self._claim_under_limits(claims)
        shares = _by_runner(claims, clock.now())
        work = self._claim_returning if self.database.has_returning else self._claim_locked
        is_one_statement = self.database.has_returning and len(shares) == 1
        rows = self.database.run(lambda cursor: work(cursor, shares), transaction=not is_one_statement)
        return [ClaimedRow._make(row) for row in rows]

    def _claim_under_limits(self, claims: Sequence[Claim]) -> list[ClaimedRow]:
        """Claim as many of these, the first ones, as their limits let through."""
        claim = self._claim_returning if self.database.has_returning else self._claim_locked

        def work(cursor: Any) -> list[tuple[Any, ...]]:
            chosen = admitted(self.database, cursor, claims)
            rows = claim(cursor, _by_runner(chosen, clock.now())) if chosen else []
            note_begun(self.database, cursor, chosen, {row[0] for row in rows})
            return rows

        return [ClaimedRow._make(row) for row in self.database.run(work, transaction=True)]

    def warm_up(self) -> None:
        """Connect, and go the way of a claim once, for a row that does not exist.

        After a fork each page that this process writes is copied first: better now than when somebody waits.
        """
        nobody = Identity(boot_id="", pid_namespace="", pid=0, start_ticks=0)
        self.claim([Claim(status_id=NOBODY, supervisor_id=NOBODY, runner=nobody)])

    def _prepare_claims(self, counts: Collection[int]) -> None:
        """Compile what `claim` runs for about so many rows."""
        for count in counts:
            if self.database.has_returning:
                self.database.compiled(update_claimed, count, self.database.kind == "postgresql")
            else:
                self.database.compiled(select_free, count)
                self.database.compiled(update_free, count)
                self.database.compiled(select_by_ids, count)

    def _claim_returning(self, cursor: Any, shares: list[_Share]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for size, same in groupby(shares, key=_padded_size):
            statement = self.database.compiled(update_claimed, size, self.database.kind == "postgresql")
            rows += statement.rows_each(cursor, [_claim_values(share) for share in same])
        return rows

    def _claim_locked(self, cursor: Any, shares: list[_Share]) -> list[tuple[Any, ...]]:
        """Claim where UPDATE has no RETURNING: lock what is free, change it, then read it."""
        ids = padded("id", sorted(status_id for share in shares for status_id in share.ids))
        free = {row[0] for row in self.database.compiled(select_free, len(ids)).rows(cursor, ids)}
        if not free:
            return []
        for share in shares:
            if mine := [status_id for status_id in share.ids if status_id in free]:
                values = _claim_values(share._replace(ids=mine))
                self.database.compiled(update_free, _padded_size(share._replace(ids=mine))).change(cursor, values)
        ids = padded("id", sorted(free))
        return self.database.compiled(select_by_ids, len(ids)).rows(cursor, ids)

    def release(self, status_id: UUID, attempt: int, supervisor_id: UUID, *, unique_key: str | None = None) -> bool:
        """Give back a claimed row of which nothing ran yet: it waits again, at the same attempt.

        If a cancel was asked for meanwhile, that is what it gets.

        Args:
            unique_key: What it gave up when it was claimed; it gets that back, unless another has it by now.

        Returns:
            False if this attempt is not under way with this supervisor: released before, another may have it by now.
        """
        if unique_key is not None:
            try:
                return self._release(status_id, attempt, supervisor_id, {"unique_key": unique_key})
            except StoreRefusedError:
                pass  # two wait, as two were ordered
        return self._release(status_id, attempt, supervisor_id, {})

    def _release(self, status_id: UUID, attempt: int, supervisor_id: UUID, key: dict[str, Any]) -> bool:
        values = {
            "status_id": status_id, "this_attempt": attempt, "supervisor_id": supervisor_id, "now": clock.now(), **key,
        }  # fmt: skip

        def work(cursor: Any) -> bool:
            if self.database.compiled(update_released, bool(key)).change(cursor, values):
                return True
            return bool(self.database.compiled(update_released_cancelled).change(cursor, values))

        return self.database.run(work, transaction=True)


class _Share(NamedTuple):
    """What one runner is to have."""

    supervisor_id: UUID
    runner: Identity
    ids: list[UUID]
    now: datetime


def _by_runner(claims: Sequence[Claim], now: datetime) -> list[_Share]:
    """Return what each runner is to have, by the number of rows."""
    shares: dict[tuple[int, int, int], _Share] = {}
    for claim in sorted(claims, key=lambda claim: claim.status_id.int):
        key = (claim.supervisor_id.int, claim.runner.pid, claim.runner.start_ticks)
        if key not in shares:
            shares[key] = _Share(claim.supervisor_id, claim.runner, [], now)
        shares[key].ids.append(claim.status_id)
    return sorted(shares.values(), key=_padded_size)


def _padded_size(share: _Share) -> int:
    return padded_size(len(share.ids))


def _claim_values(share: _Share) -> dict[str, Any]:
    return {
        "supervisor_id": share.supervisor_id,
        "runner_boot_id": share.runner.boot_id,
        "runner_pid_namespace": share.runner.pid_namespace,
        "runner_pid": share.runner.pid,
        "runner_start_ticks": share.runner.start_ticks,
        "now": share.now,
        **padded("id", share.ids),
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


def _wanted() -> list[Any]:
    return [STATUS.c[name] for name in ClaimedRow._fields]


def update_claimed(ids: int, skip_locked: bool) -> Statement:
    """Claim rows for one runner and return them; on PostgreSQL past those that another claims at this moment."""
    statement = update(STATUS).values(_claimed()).returning(*_wanted())
    if skip_locked:
        # As an array, and not IN, so that it is asked for once, before anything is changed.
        return statement.where(STATUS.c.id == func.any(func.array(select_free(ids).scalar_subquery())))
    return statement.where(STATUS.c.id.in_(one_of("id", ids)), conditions.QUEUED, conditions.NOT_CANCELLED)


def select_free(ids: int) -> Select[Any]:
    """Lock rows that still wait."""
    return (
        select(STATUS.c.id)
        .where(STATUS.c.id.in_(one_of("id", ids)), conditions.QUEUED, conditions.NOT_CANCELLED)
        .with_for_update(skip_locked=True)
    )


def update_free(ids: int) -> Statement:
    """Claim rows that are locked."""
    return update(STATUS).values(_claimed()).where(STATUS.c.id.in_(one_of("id", ids)))


def select_by_ids(ids: int) -> Statement:
    """Rows by their ids."""
    return select(*_wanted()).where(STATUS.c.id.in_(one_of("id", ids)))


def update_released(has_key: bool) -> Statement:
    """Give back one row."""
    key = {"unique_key": given("unique_key")} if has_key else {}
    return (
        update(STATUS)
        .values(
            state=conditions.QUEUED_OR_PAUSED,
            pause_requested_at=None,
            started_at=None,
            updated_at=now(),
            **conditions.NO_RUNNER,
            **key,
        )
        .where(*_mine(), conditions.NOT_CANCELLED)
    )


def update_released_cancelled() -> Statement:
    """Give back one row that was cancelled after it had been claimed."""
    return (
        update(STATUS)
        .values(**cancelled_waiting(), started_at=None, updated_at=now(), **conditions.NO_RUNNER)
        .where(*_mine())
    )


def cancelled_waiting() -> dict[str, Any]:
    """Return the end of what was cancelled while it waited."""
    error = case((STATUS.c.attempt > literal_column("1"), CANCELLED_AGAIN), else_=CANCELLED_WAITING)
    return {"state": State.CANCELLED, "cause": Cause.CANCELLED, "error": error, "finished_at": now()}


def _mine() -> tuple[Any, ...]:
    return (conditions.THIS_ATTEMPT, conditions.UNDER_WAY, STATUS.c.supervisor_id == given("supervisor_id"))
