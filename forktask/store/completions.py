"""Calling an application's completion hook once, however many pages, threads and processes see the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, select, update

from forktask import clock
from forktask.rows import CompletionRow
from forktask.store.database import Database
from forktask.store.saving import insert_once
from forktask.store.statements import Statement
from forktask.tables import COMPLETION


class Completions:
    """Rows of `forktask_completion`."""

    database: Database

    def begin_completion(self, status_id: UUID, hook: str, holder: UUID, *, patience: float) -> CompletionRow:
        """Begin a call of a hook unless it was begun before; return the row that holds.

        It is the caller's to make the call if `holder` is the row's and `returned_at` is None.

        Args:
            patience: Seconds after which a call of which nothing was heard is begun anew: its process was killed.
        """
        key: dict[str, Any] = {"status_id": status_id, "hook": hook}
        now = clock.now()
        found = self._completion(key)
        if found is None:
            row = CompletionRow(**key, holder=holder, called_at=now, returned_at=None, next_url=None)
            self.database.change(insert_once, COMPLETION, self.database.kind, values=row._asdict())
            found = self._completion(key) or row
        elif found.returned_at is None and found.called_at < now - timedelta(seconds=patience):
            values = key | {"held_by": found.holder, "holder": holder, "called_at": now}
            self.database.change(update_holder, values=values)
            found = self._completion(key) or found
        return found

    def keep_completion(self, row: CompletionRow) -> None:
        """Say that the call is still under way."""
        self.database.change(update_called, values={"called_at": clock.now(), **_held(row)})

    def end_completion(self, row: CompletionRow, next_url: str | None) -> None:
        """Say that the hook came back."""
        values = {"returned_at": clock.now(), "next_url": next_url, **_held(row)}
        self.database.change(update_returned, values=values)

    def forget_completion(self, row: CompletionRow) -> None:
        """Say that the hook failed: it may be called again."""
        self.database.change(delete_completion, values=_held(row))

    def _completion(self, key: dict[str, Any]) -> CompletionRow | None:
        rows = self.database.rows(select_completion, values=key)
        return CompletionRow._make(rows[0]) if rows else None


def _held(row: CompletionRow) -> dict[str, Any]:
    return {"status_id": row.status_id, "hook": row.hook, "held_by": row.holder}


def select_completion() -> Statement:
    """The call of one hook for one status."""
    return select(COMPLETION).where(*_this())


def update_holder() -> Statement:
    """Begin anew a call that never came back."""
    return update(COMPLETION).values(holder=_given("holder"), called_at=_given("called_at")).where(*_this_call())


def update_called() -> Statement:
    """A call that goes on."""
    return update(COMPLETION).values(called_at=_given("called_at")).where(*_this_call())


def update_returned() -> Statement:
    """The end of a call."""
    return (
        update(COMPLETION).values(returned_at=_given("returned_at"), next_url=_given("next_url")).where(*_this_call())
    )


def delete_completion() -> Statement:
    """A call that failed."""
    return delete(COMPLETION).where(*_this_call())


def _this() -> tuple[Any, ...]:
    return (COMPLETION.c.status_id == _given("status_id"), COMPLETION.c.hook == _given("hook"))


def _this_call() -> tuple[Any, ...]:
    return (*_this(), COMPLETION.c.holder == _given("holder", "held_by"), COMPLETION.c.returned_at.is_(None))


def _given(column: str, name: str = "") -> Any:
    return bindparam(name or column, type_=COMPLETION.c[column].type)
