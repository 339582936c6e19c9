"""Who lives: the rows of supervisors and their leases, by the clock of the database."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, bindparam, distinct, exists, func, literal_column, null, or_, select, update

from forktask.rows import StatusRow, SupervisorRow
from forktask.store import conditions
from forktask.store.database import Build, Database
from forktask.store.saving import insert_once
from forktask.store.statements import Statement, database_now
from forktask.tables import STATUS, SUPERVISOR

EMBEDDED = "embedded"
MOST_PIDS = 2**22
"""Linux has no pid above it."""


class Supervisors:
    """Rows of `forktask_supervisor`, and what is under way."""

    database: Database

    def register(self, row: SupervisorRow) -> None:
        """Write the row of a supervisor, with a heartbeat now."""
        values = row._asdict()

        def work(cursor: Any) -> None:
            self.database.compiled(insert_once, SUPERVISOR, self.database.kind).change(cursor, values)
            self.database.compiled(update_heartbeat).change(cursor, {"supervisor_id": row.id})

        self.database.run(work, transaction=True)

    def heartbeat(self, supervisor_id: UUID) -> bool:
        """Say that this supervisor lives; return False if its row is gone."""
        return self.database.change(update_heartbeat, values={"supervisor_id": supervisor_id}) > 0

    def retire(self, supervisor_id: UUID) -> None:
        """Say that this supervisor left."""
        self.database.change(update_stopped, values={"supervisor_id": supervisor_id})

    def set_held(self, supervisor_id: UUID, held: bool) -> None:
        """Say that this worker takes nothing any more, since all were told to, or takes again."""
        self.database.change(update_held, held, values={"supervisor_id": supervisor_id})

    def serve_no_more(self, supervisor_id: UUID) -> None:
        """Say that this worker takes nothing more from its queues: others may."""
        self.database.change(update_serves_no_more, values={"supervisor_id": supervisor_id})

    def serving(self, seconds: float) -> list[SupervisorRow]:
        """Return the workers that serve queues and had a heartbeat within so many seconds, the oldest first."""
        return self._supervisors(select_serving, microseconds=round(seconds * 1_000_000))

    def supervisor(self, supervisor_id: UUID) -> SupervisorRow | None:
        """Return the row of one supervisor, or None."""
        rows = self._supervisors(select_supervisor, supervisor_id=supervisor_id)
        return rows[0] if rows else None

    def supervisors(self) -> list[SupervisorRow]:
        """Return those that did not say that they left, the oldest first."""
        return self._supervisors(select_supervisors)

    def newest_supervisor(self, application: str, boot_id: str) -> SupervisorRow | None:
        """Return the embedded supervisor of this application that started last on this boot and did not leave."""
        rows = self._supervisors(select_newest, application=application, boot_id=boot_id)
        return rows[0] if rows else None

    def silent(self, seconds: float) -> list[UUID]:
        """Return the ids of supervisors without a heartbeat for so long that matter.

        Those are the ones that did not say that they left, and those that did but have an attempt under way.
        """
        values = {"microseconds": round(seconds * 1_000_000)}
        rows = self.database.rows(select_silent, values=values)
        return [row[0] for row in rows]

    def under_way(self, *, not_by: UUID | None = None) -> list[StatusRow]:
        """Return the rows with an attempt under way, the oldest first; without those of one supervisor."""
        values = {} if not_by is None else {"supervisor_id": not_by}
        rows = self.database.rows(select_under_way, not_by is not None, values=values)
        return [StatusRow._make(row) for row in rows]

    def count_running(self, boot_id: str) -> int:
        """Return how many runners have rows on this boot of this host, those about to by start method `fork` too."""
        values = {"boot_id": boot_id}
        rows = self.database.rows(select_running_count, values=values)
        return int(rows[0][0])

    def _supervisors(self, build: Build, **values: Any) -> list[SupervisorRow]:
        rows = self.database.rows(build, values=values)
        return [SupervisorRow._make(row) for row in rows]


THIS = SUPERVISOR.c.id == bindparam("supervisor_id", type_=SUPERVISOR.c.id.type)
PRESENT = SUPERVISOR.c.stopped_at.is_(None)


def update_heartbeat() -> Statement:
    """The heartbeat of one supervisor."""
    return update(SUPERVISOR).values(heartbeat_at=database_now()).where(THIS)


def update_stopped() -> Statement:
    """The end of one supervisor."""
    return update(SUPERVISOR).values(stopped_at=database_now()).where(THIS, PRESENT)


def update_held(held: bool) -> Statement:
    """Whether one worker takes anything."""
    return update(SUPERVISOR).values(held_at=database_now() if held else None).where(THIS)


def update_serves_no_more() -> Statement:
    """One worker without queues."""
    return update(SUPERVISOR).values(queues=None).where(THIS)


def select_serving() -> Statement:
    """Workers with queues whose lease holds."""
    ago = database_now(bindparam("microseconds", type_=BigInteger))
    serves = (PRESENT, SUPERVISOR.c.queues.is_not(null()), SUPERVISOR.c.heartbeat_at >= ago)
    return select(SUPERVISOR).where(*serves).order_by(SUPERVISOR.c.id)


def select_supervisor() -> Statement:
    """One supervisor."""
    return select(SUPERVISOR).where(THIS)


def select_supervisors() -> Statement:
    """Those that did not leave."""
    return select(SUPERVISOR).where(PRESENT).order_by(SUPERVISOR.c.id)


def select_newest() -> Statement:
    """The last embedded supervisor of an application on a boot."""
    return (
        select(SUPERVISOR)
        .where(
            PRESENT,
            SUPERVISOR.c.kind == EMBEDDED,
            SUPERVISOR.c.application == bindparam("application", type_=SUPERVISOR.c.application.type),
            SUPERVISOR.c.boot_id == bindparam("boot_id", type_=SUPERVISOR.c.boot_id.type),
        )
        .order_by(SUPERVISOR.c.start_ticks.desc(), SUPERVISOR.c.id.desc())
        .limit(1)
    )


def select_silent() -> Statement:
    """Those whose lease has run out."""
    watches = exists().where(STATUS.c.supervisor_id == SUPERVISOR.c.id, conditions.LIVE, conditions.UNDER_WAY)
    ago = database_now(bindparam("microseconds", type_=BigInteger))
    return select(SUPERVISOR.c.id).where(SUPERVISOR.c.heartbeat_at < ago, or_(PRESENT, watches))


def select_under_way(of_others: bool) -> Statement:
    """Rows with an attempt under way, all or those of other supervisors."""
    query = select(STATUS).where(conditions.LIVE, conditions.UNDER_WAY).order_by(STATUS.c.id)
    not_mine = STATUS.c.supervisor_id != bindparam("supervisor_id", type_=STATUS.c.supervisor_id.type)
    return query.where(not_mine) if of_others else query


def select_running_count() -> Statement:
    """How many runners have rows on a boot, those too that were forked and have not claimed yet.

    A runner that is kept for many tasks has more than one row.
    """
    here = STATUS.c.runner_boot_id == bindparam("boot_id", type_=STATUS.c.runner_boot_id.type)
    runner = STATUS.c.runner_start_ticks * literal_column(str(MOST_PIDS)) + STATUS.c.runner_pid
    without = func.count() - func.count(runner)
    return select(func.count(distinct(runner)) + without).where(
        conditions.LIVE, conditions.UNDER_WAY | conditions.QUEUED, here
    )
