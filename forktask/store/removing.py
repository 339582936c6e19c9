"""Deleting rows that are final, with all that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, exists, select

from forktask.states import FINAL
from forktask.store import conditions
from forktask.store.conditions import one_of, padded
from forktask.store.database import Database
from forktask.store.statements import Statement
from forktask.tables import ATTEMPT, COMPLETION, LOG, STATUS, SUPERVISOR

AT_ONCE: Final = 500
"""Most rows in one transaction, so that nobody waits for long."""
PARTS: Final = (ATTEMPT, LOG, COMPLETION)


class Removing:
    """What goes for good."""

    database: Database

    def delete_final(self, ids: Sequence[UUID]) -> set[UUID]:
        """Delete those of some rows that are final; return their ids."""
        gone: set[UUID] = set()
        for start in range(0, len(ids), AT_ONCE):
            some = padded("id", sorted(ids[start : start + AT_ONCE]))
            gone |= self.database.run(lambda cursor, some=some: self._delete_some(cursor, some), transaction=True)  # type: ignore[misc]
        return gone

    def _delete_some(self, cursor: Any, ids: dict[str, Any]) -> set[UUID]:
        found = {row[0] for row in self.database.compiled(select_final, len(ids)).rows(cursor, ids)}
        if found:
            values = padded("id", sorted(found))
            for table in PARTS:
                self.database.compiled(delete_parts_of, table, len(values)).change(cursor, values)
            self.database.compiled(delete_statuses, len(values)).change(cursor, values)
        return found

    def delete_stopped(self, before: datetime) -> int:
        """Delete supervisors that left before this time and watch over nothing; return how many."""
        return self.database.change(delete_supervisors, values={"stopped_before": before})


def select_final(ids: int) -> Statement:
    """Lock those of some rows that are final."""
    these = STATUS.c.id.in_(one_of("id", ids))
    return select(STATUS.c.id).where(these, conditions.state_in(*FINAL)).with_for_update()


def delete_parts_of(table: Table, ids: int) -> Statement:
    """What belongs to some rows."""
    return delete(table).where(table.c.status_id.in_(one_of("id", ids)))


def delete_statuses(ids: int) -> Statement:
    """Rows that are locked."""
    return delete(STATUS).where(STATUS.c.id.in_(one_of("id", ids)))


def delete_supervisors() -> Statement:
    """Supervisors that left long ago."""
    before = bindparam("stopped_before", type_=SUPERVISOR.c.stopped_at.type)
    watches = exists().where(STATUS.c.supervisor_id == SUPERVISOR.c.id, conditions.LIVE)
    return delete(SUPERVISOR).where(SUPERVISOR.c.stopped_at < before, ~watches)
