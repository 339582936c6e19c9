"""Whoever looks at a row that is under way makes sure that it tells the truth.

Used by pages, API and command line through the runtime, and by every supervisor.
"""

from __future__ import annotations

import logging
from uuid import UUID

from forktask import clock, process, registry
from forktask.definition import TaskDefinition
from forktask.identity import Identity
from forktask.rows import StatusRow, SupervisorRow
from forktask.sentences import new_reference, sentence
from forktask.states import UNDER_WAY, Cause
from forktask.store import Store

log = logging.getLogger("forktask.proof")

LAUNCH_GRACE = 30.0
"""Seconds after which a row that only its starter could start, and that nobody took, is given up."""


class Witness:
    """Tells whether supervisors live; remembers who they are, which never changes."""

    def __init__(self, store: Store, lost_after: float) -> None:
        self.store = store
        self.lost_after = lost_after
        self._known: dict[UUID, SupervisorRow] = {}

    def check(self, row: StatusRow) -> bool:
        """Mark a row lost if its supervisor is gone; return True if that changed it."""
        if row.state not in UNDER_WAY or row.runner_pid is None or row.supervisor_id is None:
            return False
        seen = self.death_of(row.supervisor_id)
        return seen is not None and self._settle(row, seen)

    def death_of(self, supervisor_id: UUID) -> str | None:
        """Return what proves that a supervisor is gone, for the operator; None while it may live."""
        supervisor = self._known.get(supervisor_id) or self.store.supervisor(supervisor_id)
        if supervisor is None:
            return f"supervisor {supervisor_id} is not in the table"
        if len(self._known) > 1000:
            self._known.clear()
        self._known[supervisor_id] = supervisor
        alive = process.is_alive(identity_of(supervisor))
        if alive is None and supervisor_id in self.store.silent(self.lost_after):
            return f"no heartbeat of pid {supervisor.pid} on {supervisor.host} for {self.lost_after:g} s"
        if alive is False:
            return f"pid {supervisor.pid} started at tick {supervisor.start_ticks} is gone from {supervisor.host}"
        return None

    def check_waiting(self, row: StatusRow) -> bool:
        """Give up a queued row that only one process could start, if that is gone; True if changed."""
        if row.start_method is None:
            return False
        if row.supervisor_id is None:
            if (clock.now() - row.created_at).total_seconds() < LAUNCH_GRACE:
                return False
            seen = "the process that was to start it never took it"
        elif (seen := self.death_of(row.supervisor_id) or "") == "":
            return False
        detail = f"{seen}; its arguments were in that process alone"
        return self.store.fail_launch(
            row.id, row.attempt, error=sentence(Cause.LAUNCH), reference=new_reference(), detail=detail
        )

    def _was_inline(self, row: StatusRow) -> bool:
        """Return True if the task ran in the caller's own process, whose session holds what is not ours."""
        supervisor = self._known.get(row.supervisor_id) if row.supervisor_id is not None else None
        return supervisor is not None and supervisor.kind == "inline"

    def _settle(self, row: StatusRow, seen: str) -> bool:
        runner = runner_of(row)
        if runner is not None and not self._was_inline(row):
            process.kill_session(runner)
        definition: TaskDefinition | None = registry.find(row.task)
        retry = definition.retry if definition else None
        again = retry is not None and row.start_method is None and row.attempt < row.max_attempts
        if again and retry is not None and not retry.applies(Cause.SUPERVISOR_GONE):
            again = False
        changed = self.store.mark_lost(
            row.id,
            row.attempt,
            seen,
            error=sentence(Cause.SUPERVISOR_GONE),
            reference=new_reference(),
            retry_at=clock.after(retry.delay(row.attempt)) if again and retry is not None else None,
        )
        if changed:
            log.warning("lost task=%s id=%s attempt=%d: %s", row.task, row.id, row.attempt, seen)
        return changed


def identity_of(supervisor: SupervisorRow) -> Identity:
    """Return who the process of a supervisor's row is."""
    return Identity(
        boot_id=supervisor.boot_id,
        pid_namespace=supervisor.pid_namespace,
        pid=supervisor.pid,
        start_ticks=supervisor.start_ticks,
    )


def runner_of(row: StatusRow) -> Identity | None:
    """Return who the runner of a row is, if an attempt is under way."""
    if row.runner_pid is None or row.runner_start_ticks is None:
        return None
    return Identity(
        boot_id=row.runner_boot_id or "",
        pid_namespace=row.runner_pid_namespace or "",
        pid=row.runner_pid,
        start_ticks=row.runner_start_ticks,
    )
