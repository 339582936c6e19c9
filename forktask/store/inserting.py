"""Writing new rows: one or many, and only one where a key says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, insert, literal_column, select, update

from forktask import clock
from forktask.dialects import insert_unless_there
from forktask.errors import DuplicateError
from forktask.rows import StatusRow
from forktask.rules import OnConflict
from forktask.states import FINAL, State
from forktask.store import conditions
from forktask.store.claims import now
from forktask.store.conditions import one_of, padded
from forktask.store.database import Database
from forktask.store.failures import StoreRefusedError, StoreUnavailableError
from forktask.store.lines import comes_in_line, next_turn, place, turns
from forktask.store.orders import select_living, update_cancelled
from forktask.store.statements import AT, Statement, database_now
from forktask.tables import STATUS

OBLIGATORY: Final = frozenset(column.name for column in STATUS.c if not column.nullable)
VARYING: Final = ("id", "settings", "unique_key", "once_key", "limit_name", "line", "turn")
"""What differs between rows that one call writes."""
BY_CLOCK: Final = ("run_after", "due_at")
"""Columns that hold a time from now by the clock of the database."""
ROUNDS: Final = 200
"""How often a place may be taken and freed by others before it is ours: of eight who replace each other at once, on
PostgreSQL one comes through a round, by chance, and twenty were too few for the last of fifty."""
TRIED: Final = (State.FAILED, State.CANCELLED, State.LOST)
"""Ends after which the same form is another try."""
AT_ONCE: Final = 1024
"""Most keys in one question."""


class Placed(NamedTuple):
    """What became of an order: its own row, or one that stands for it; and the rows that it replaced."""

    row: StatusRow
    replaced: tuple[UUID, ...] = ()


class Inserting:
    """How rows come into the table; each method commits before it returns.

    With a `delay`, `run_after` is so many seconds from now by the clock of the database.
    """

    database: Database

    def insert(self, row: StatusRow, *, delay: float | None = None) -> None:
        """Write a new row.

        Raises:
            StoreRefusedError: A row with this id or key is there already, among other reasons.
        """
        self.database.run(lambda cursor: self._insert(cursor, row, delay, once=False))

    def insert_or_find(self, row: StatusRow, *, delay: float | None = None, on_conflict: OnConflict = "join") -> Placed:
        """Write a new row unless another stands for it; of many callers one writes.

        That is the one that the same form or request ordered before, or the one that lives with the same key. Of a
        form one that failed, was cancelled or lost does not: who sends it again wants another try. A row that is final
        from the start replaces none.

        Raises:
            DuplicateError: One lives with the same key, and `on_conflict` is `refuse`.
            StoreRefusedError: As `insert` does.
        """
        if row.once_key is None and row.unique_key is None:
            self.insert(row, delay=delay)
            return Placed(row)
        return self.database.run(lambda cursor: self._place(cursor, row, delay, on_conflict), transaction=True)

    def insert_all(
        self, rows: Sequence[StatusRow], *, delay: float | None = None, on_conflict: OnConflict = "join"
    ) -> list[Placed]:
        """Write rows of one call in one transaction, all or none; each as `insert_or_find` does.

        The same form or request again finds all that it ordered before.

        Args:
            rows: They differ in id, settings, keys and limits; where they `join`, the first of a key stands for all.
        """
        if not rows:
            return []
        if rows[0].unique_key is not None:
            return self.database.run(lambda cursor: self._place_all(cursor, rows, delay, on_conflict), transaction=True)
        try:
            return self.database.run(lambda cursor: self._insert_all(cursor, rows, delay), transaction=True)
        except StoreRefusedError:
            if rows[0].once_key is None:
                raise
        # The same form came a second time in this moment.
        return self.database.run(lambda cursor: self._insert_all(cursor, rows, delay), transaction=True)

    def living(self, key: str) -> StatusRow | None:
        """Return the row that has this unique key and is not final."""
        return self.database.run(lambda cursor: self._living(cursor, key, lock=False))

    def _insert(self, cursor: Any, row: StatusRow, delay: float | None, *, once: bool) -> bool:
        values = _values(row)
        kind = self.database.kind
        statement = self.database.compiled(insert_status, kind, once, delay is not None, comes_in_line(row), *values)
        values |= place(row.line, row.priority, row.lane)
        if delay is not None:
            values["microseconds"] = -round(delay * 1_000_000)
        count = statement.change(cursor, values)
        if once and not self.database.has_returning:
            # MariaDB counts a row that it left alone.
            return bool(self.database.compiled(select_there).rows(cursor, {"status_id": row.id}))
        return count > 0

    def _place(self, cursor: Any, row: StatusRow, delay: float | None, on_conflict: OnConflict) -> Placed:
        if row.state in FINAL:
            return self._place_final(cursor, row, delay, on_conflict)
        replaced: list[UUID] = []
        for _ in range(ROUNDS):
            if row.unique_key is not None and on_conflict == "replace":
                if (before := self._ordered_before(cursor, row)) is not None:
                    return Placed(before)
                replaced += self._make_room(cursor, row.unique_key)
            if self._insert(cursor, row, delay, once=True):
                return Placed(row, tuple(replaced))
            if (found := self._in_its_place(cursor, row, on_conflict)) is not None:
                return Placed(found)
        raise StoreUnavailableError(f"others came before {row.id} again and again")

    def _place_final(self, cursor: Any, row: StatusRow, delay: float | None, on_conflict: OnConflict) -> Placed:
        """Ask first: no index keeps it out, since it lives beside nobody; and it makes no room."""
        for _ in range(ROUNDS):
            if (found := self._in_its_place(cursor, row, on_conflict)) is not None:
                return Placed(found)
            if self._insert(cursor, row, delay, once=True):
                return Placed(row)
        raise StoreUnavailableError(f"others came before {row.id} again and again")

    def _place_all(
        self, cursor: Any, rows: Sequence[StatusRow], delay: float | None, on_conflict: OnConflict
    ) -> list[Placed]:
        """In the order of the keys, so that two calls never wait for each other."""
        placed: dict[UUID, Placed] = {}
        before = None
        for row in sorted(rows, key=lambda row: row.unique_key or ""):
            if on_conflict == "join" and before is not None and row.unique_key == before.unique_key:
                placed[row.id] = Placed(placed[before.id].row)
            else:
                placed[row.id] = self._place(cursor, row, delay, on_conflict)
                before = row
        return [placed[row.id] for row in rows]

    def _ordered_before(self, cursor: Any, row: StatusRow) -> StatusRow | None:
        """Return the row of the same form or request; None: there is none, or it stands in the way no more."""
        before = self._of_once_key(cursor, row)
        if before is None or not _may_be_tried_again(before):
            return before
        self.database.compiled(update_makes_way).change(cursor, {"status_id": before.id})
        return None

    def _of_once_key(self, cursor: Any, row: StatusRow) -> StatusRow | None:
        if row.once_key is None:
            return None
        found = self.database.compiled(select_by_once_key).rows(cursor, {"once_key": row.once_key})
        return StatusRow._make(found[0]) if found else None

    def _in_its_place(self, cursor: Any, row: StatusRow, on_conflict: OnConflict) -> StatusRow | None:
        """Return the row that kept another out; None: it has made room meanwhile, or has to."""
        if (before := self._ordered_before(cursor, row)) is not None:
            return before
        living = self._living(cursor, row.unique_key, lock=False) if row.unique_key is not None else None
        if living is not None and on_conflict == "refuse":
            raise DuplicateError(row.task, living.id, living.state)
        return living if on_conflict == "join" else None

    def _living(self, cursor: Any, key: str, *, lock: bool) -> StatusRow | None:
        found = self.database.compiled(select_living, self.database.kind, lock).rows(cursor, {"unique_key": key})
        return StatusRow._make(found[0]) if found else None

    def _make_room(self, cursor: Any, key: str) -> list[UUID]:
        """Cancel the one that lives with this key; one under way is asked to end and gives up its key."""
        living = self._living(cursor, key, lock=True)
        if living is None:
            return []
        values = {"status_id": living.id, "now": clock.now()}
        if not self.database.compiled(update_cancelled).change(cursor, values):
            self.database.compiled(update_gives_way).change(cursor, values)
        return [living.id]

    def _insert_all(self, cursor: Any, rows: Sequence[StatusRow], delay: float | None) -> list[Placed]:
        if self._of_once_key(cursor, rows[0]) is not None:
            return self._all_ordered_before(cursor, rows, delay)
        first = _values(rows[0])
        if delay is not None:
            ((moment,),) = self.database.compiled(select_now).rows(cursor, {})
            first |= dict.fromkeys(BY_CLOCK, moment + timedelta(seconds=delay))
        varying: list[str] = [name for name in VARYING if name in first]
        statement = self.database.compiled(insert_status, self.database.kind, False, False, False, *first)
        given = turns(self.database, cursor, rows)
        statement.change_all(
            cursor, first, ({name: getattr(row, name) for name in varying} | next(given) for row in rows)
        )
        return [Placed(row) for row in rows]

    def _all_ordered_before(self, cursor: Any, rows: Sequence[StatusRow], delay: float | None) -> list[Placed]:
        """Return for each row the one of the same request; a row that was deleted since stands for itself."""
        found: dict[str | None, StatusRow] = {}
        for start in range(0, len(rows), AT_ONCE):
            values = padded("once_key", [row.once_key for row in rows[start : start + AT_ONCE]])
            for values_of_row in self.database.compiled(select_by_once_keys, len(values)).rows(cursor, values):
                row = StatusRow._make(values_of_row)
                found[row.once_key] = row
        return [
            self._place(cursor, row, delay, "join") if _may_be_tried_again(before) else Placed(before)
            for row in rows
            for before in [found.get(row.once_key, row)]
        ]


def _may_be_tried_again(before: StatusRow) -> bool:
    """Return True if the same form may order it anew; a program gets the same answer."""
    return before.once_content is None and before.state in TRIED


def _values(row: StatusRow) -> dict[str, Any]:
    """Return what has a value: of a row that waits half the columns have none, and each has its price."""
    return {
        name: value
        for name, value in zip(StatusRow._fields, row, strict=True)
        if value is not None or name in OBLIGATORY
    }


def insert_status(kind: str, once: bool, later: bool, in_line: bool, *columns: str) -> Statement:
    """One new row; `once`: unless another has one of its keys; `later`: its time counts from now."""
    given: dict[str, Any] = {name: AT if later and name in BY_CLOCK else conditions.given(name) for name in columns}
    if in_line:
        given["turn"] = next_turn(kind)
    if not once:
        return insert(STATUS).values(given)
    return insert_unless_there(kind, STATUS, STATUS.c.id, given)


def select_there() -> Statement:
    """Whether there is a row with this id."""
    return select(literal_column("1")).where(conditions.THIS)


def select_now() -> Statement:
    """The time by the clock of the database."""
    return select(database_now())


def select_by_once_key() -> Statement:
    """The row that a form or request ordered."""
    return select(STATUS).where(STATUS.c.once_key == conditions.given("once_key"))


def select_by_once_keys(keys: int) -> Statement:
    """The rows that a form or request ordered at once."""
    return select(STATUS).where(STATUS.c.once_key.in_(one_of("once_key", keys)))


def update_gives_way() -> Statement:
    """Ask for the end of what is under way, and let another have its key at once."""
    asked = func.coalesce(STATUS.c.cancel_requested_at, now())
    return (
        update(STATUS)
        .values(cancel_requested_at=asked, unique_key=None, updated_at=now())
        .where(conditions.THIS, conditions.UNDER_WAY)
    )


def update_makes_way() -> Statement:
    """Let the same form order again what ended without success."""
    return update(STATUS).values(once_key=None).where(conditions.THIS, conditions.state_in(*TRIED))
