"""Whoever looks at a row that is under way makes sure that it tells the truth.

Used by pages, API and command line through the runtime, and by every supervisor.
"""

from __future__ import annotations

import logging
from uuid import UUID

from forktask import clock, host, process, registry, signals
from forktask.config import Settings
from forktask.definition import TaskDefinition
from forktask.errors import BatchError
from forktask.identity import Identity
from forktask.rows import RunRow, StatusRow, SupervisorRow
from forktask.sentences import new_reference, sentence
from forktask.states import UNDER_WAY, Cause, State
from forktask.store import Store

log = logging.getLogger("forktask.proof")

LAUNCH_GRACE = 30.0
"""Seconds after which a row that only its starter could start, and that nobody took, is given up."""
SEEN_FOR = 0.25
"""Seconds for which a poll takes a supervisor for alive that it saw alive: a page tells a death within one."""
READY_FOR = 1.0
"""Seconds after which no row lies ready any more behind one that takes its time; they are given back much sooner."""
NEVER_TAKEN = "the process that was to start it never took it"


class Witness:
    """Tells whether supervisors live; remembers who they are, which never changes.

    Args:
        tell: Called with each end that it writes.
    """

    def __init__(self, store: Store, settings: Settings, tell: signals.Tell = signals.tell_nobody) -> None:
        self.store = store
        self.tell = tell
        self.lost_after = settings.lost_after
        self.runtime_dir = settings.runtime_dir
        self._known: dict[UUID, SupervisorRow] = {}
        self._seen_at: dict[UUID, float] = {}

    def check(self, row: StatusRow, *, lately: bool = False) -> bool:
        """Mark a row lost if its supervisor is gone; return True if it has changed, by us or by who was faster.

        Args:
            lately: It is enough that it was seen alive a moment ago.
        """
        if row.state not in UNDER_WAY or row.runner_pid is None or row.supervisor_id is None:
            return False
        if lately and clock.monotonic() - self._seen_at.get(row.supervisor_id, -SEEN_FOR) < SEEN_FOR:
            return False
        seen = self.death_of(row.supervisor_id)
        if seen is not None:
            self._settle(row, seen)
        return seen is not None

    def check_all(self) -> None:
        """Make every row true that takes up a place."""
        for row in self.store.under_way():
            self.check(row)
        for row in self.store.bound():
            self.check_waiting(row)

    def death_of(self, supervisor_id: UUID) -> str | None:
        """Return what proves that a supervisor is gone, for the operator; None while it may live."""
        supervisor = self._known.get(supervisor_id) or self.store.supervisor(supervisor_id)
        if supervisor is None:
            return f"supervisor {supervisor_id} is not in the table"
        if len(self._known) > 1000:
            self._known.clear()
            self._seen_at.clear()
        self._known[supervisor_id] = supervisor
        moment = clock.monotonic()
        alive = process.is_alive(identity_of(supervisor))
        if alive is None and supervisor_id in self.store.silent(self.lost_after):
            return f"no heartbeat of pid {supervisor.pid} on {supervisor.host} for {self.lost_after:g} s"
        if alive is False:
            return f"pid {supervisor.pid} started at tick {supervisor.start_ticks} is gone from {supervisor.host}"
        self._seen_at[supervisor_id] = moment
        return None

    def serving(self) -> list[SupervisorRow]:
        """Return the workers that serve queues, on any host; one that hangs does not, though it is there."""
        return [row for row in self.store.serving(self.lost_after) if process.is_alive(identity_of(row)) is not False]

    def check_waiting(self, row: StatusRow) -> bool:
        """Give up a queued row that only one process could start, if that is gone; True if changed, as in `check`."""
        if not row.bound:
            return False
        if row.supervisor_id is None:
            if not is_left_alone(row) or (row.destination and self._may_come(row.destination)):
                return False
            seen = NEVER_TAKEN
        elif (seen := self.death_of(row.supervisor_id) or "") == "":
            return False
        self.give_up(row, seen)
        return True

    def give_up(self, row: StatusRow, seen: str) -> bool:
        """Fail a bound row that nobody will start; return True if it still waited.

        Args:
            seen: Why nobody will, for the operator.
        """
        detail = f"{seen}; its arguments were in that process alone"
        return fail_launch(self.store, self.tell, row.task, row.id, row.attempt, detail)

    def _may_come(self, name: str) -> bool:
        """Return True while a supervisor of that name lives, which may be importing, or waiting for its database."""
        if host.is_locked(self.runtime_dir, name):
            return True
        return any(row.name == name and self.death_of(row.id) is None for row in self.store.supervisors())

    def _was_inline(self, row: StatusRow) -> bool:
        """Return True if the task ran in the caller's own process, whose session holds what is not ours."""
        supervisor = self._known.get(row.supervisor_id) if row.supervisor_id is not None else None
        return supervisor is not None and supervisor.kind == "inline"

    def _settle(self, row: StatusRow, seen: str) -> None:
        runner = runner_of(row)
        if runner is not None and row.supervisor_id is not None and not self._was_inline(row):
            process.kill_session(runner, row.supervisor_id)
        backoff = _backoff(row)
        state = self.store.mark_lost(
            row.id,
            row.attempt,
            seen,
            error=sentence(Cause.SUPERVISOR_GONE),
            reference=new_reference(),
            retry_at=None if backoff is None else clock.after(backoff),
        )
        if state is not None:
            log.warning("lost task=%s id=%s attempt=%d: %s", row.task, row.id, row.attempt, seen)
            self.tell(row.task, row.id, row.attempt, state, Cause.SUPERVISOR_GONE)


def fail_launch(store: Store, tell: signals.Tell, task: str, status_id: UUID, attempt: int, detail: str) -> bool:
    """Fail an attempt of which nothing ran, and have it told; return True if it had not ended.

    Args:
        detail: What happened, for the operator.
    """
    failed = store.fail_launch(
        status_id, attempt, error=sentence(Cause.LAUNCH), reference=new_reference(), detail=detail
    )
    if failed:
        tell(task, status_id, attempt, State.FAILED, Cause.LAUNCH)
    return failed


def is_left_alone(row: StatusRow) -> bool:
    """Return True if nobody began a row, which was to start at once, for longer than the grace."""
    return (clock.now() - row.created_at).total_seconds() >= LAUNCH_GRACE


def _backoff(row: StatusRow) -> float | None:
    """Return seconds to the next attempt after a lost one; None: there is none.

    Who looks may not know the task, as a process of another application: for that the row says it, too.
    """
    if row.bound or row.attempt >= row.max_attempts:
        return None
    definition: TaskDefinition | None = registry.find(row.task)
    if definition is None:
        return row.lost_backoff
    return definition.retry.delay(row.attempt) if definition.retry.applies(Cause.SUPERVISOR_GONE) else None


def refuse_in_batch(verb: str, status_id: UUID, store: Store) -> None:
    """Refuse what would hold for others, too, that run together with a status.

    Who does not know the task looks whether others stay with its runner: what only lies ready there is given back.

    Raises:
        BatchError: There are others.
    """
    until = clock.monotonic() + READY_FOR
    while (row := store.get(status_id)) is not None and (others := store.count_beside(row)):
        is_known = registry.find(row.task) is not None
        if is_known and registry.batch_of(row.task) == 1:
            return
        if is_known or clock.monotonic() >= until:
            raise BatchError(verb, row.state, others)
        clock.sleep(READY_FOR / 10)


def identity_of(supervisor: SupervisorRow) -> Identity:
    """Return who the process of a supervisor's row is."""
    return Identity(
        boot_id=supervisor.boot_id,
        pid_namespace=supervisor.pid_namespace,
        pid=supervisor.pid,
        start_ticks=supervisor.start_ticks,
    )


def is_runner_of(row: RunRow, identity: Identity) -> bool:
    """Return True if that is the runner of a row."""
    told = row.runner_pid, row.runner_start_ticks, row.runner_boot_id, row.runner_pid_namespace
    return told == (identity.pid, identity.start_ticks, identity.boot_id, identity.pid_namespace)


def runner_of(row: RunRow) -> Identity | None:
    """Return who the runner of a row is, if an attempt is under way."""
    if row.runner_pid is None or row.runner_start_ticks is None:
        return None
    return Identity(
        boot_id=row.runner_boot_id or "",
        pid_namespace=row.runner_pid_namespace or "",
        pid=row.runner_pid,
        start_ticks=row.runner_start_ticks,
    )
