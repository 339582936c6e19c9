"""What an operator writes into a row instead of its supervisor, and rows that come from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, func, update

from forktask import clock
from forktask.rows import AttemptRow, LogRow, StatusRow
from forktask.states import State
from forktask.store import conditions
from forktask.store.claims import now
from forktask.store.conditions import given
from forktask.store.database import Database
from forktask.store.inserting import insert_status
from forktask.store.lines import comes_in_line
from forktask.store.saving import insert_once
from forktask.store.statements import Statement
from forktask.store.statuses import select_status
from forktask.tables import ATTEMPT, LOG, STATUS


class ByHand:
    """Changes that nothing but an operator's word is the reason for; each is guarded by what was seen."""

    database: Database

    def end_by_hand(self, row: StatusRow, state: State, error: str | None) -> bool:
        """Write another end into a row; False if it has changed since it was read."""
        values = {"status_id": row.id, "this_attempt": row.attempt, "seen": row.state, "error": error}
        return self.database.change(update_by_hand, state, values=values | {"now": clock.now()}) > 0

    def bring_in(self, row: StatusRow, attempts: Sequence[AttemptRow], log: Sequence[LogRow]) -> bool:
        """Write a row of another table with all that belongs to it; False if one with its id is there.

        Raises:
            StoreRefusedError: Another one has one of its keys.
        """

        def work(cursor: Any) -> bool:
            if self.database.compiled(select_status).rows(cursor, {"status_id": row.id}):
                return False
            values = {name: value for name, value in row._asdict().items() if value is not None}
            if comes_in_line(row):
                values["later"] = 1  # its turn is one of this table
            kind = self.database.kind
            self.database.compiled(insert_status, kind, False, False, False, *values).change(cursor, values)
            for table, parts in ((ATTEMPT, attempts), (LOG, log)):
                statement = self.database.compiled(insert_once, table, self.database.kind)
                for part in parts:
                    statement.change(cursor, part._asdict())
            return True

        return self.database.run(work, transaction=True)


def update_by_hand(state: State) -> Statement:
    """Another end of a row that is as it was seen."""
    values: dict[str, Any] = {"state": state, "cause": None, "error": given("error"), "updated_at": now()}
    values |= {"finished_at": func.coalesce(STATUS.c.finished_at, now()), **conditions.NO_RUNNER}
    if state is State.COMPLETED:
        values |= {"percent": 100.0, "reference": None}
    seen = STATUS.c.state == bindparam("seen", type_=STATUS.c.state.type)
    return update(STATUS).values(values).where(conditions.THIS_ATTEMPT, seen)
