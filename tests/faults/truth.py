"""What holds after each fault: the row is true, nothing else was touched, nothing is left running."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from forktask import process, registry
from forktask.call import Call
from forktask.identity import Identity
from forktask.proof import identity_of
from forktask.rows import AttemptRow, StatusRow
from forktask.runtime import Runtime
from forktask.sentences import SENTENCES
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import PATIENCE, ended, runners_of
from tests.waiting import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """How a status ends: what the person reads is exactly `says`; code and signal stand in its last attempt."""

    cause: Cause | None = None
    state: State = State.FAILED
    says: str | None = None
    exit_code: int | None = None
    signal: int | None = None


DONE = Truth(state=State.COMPLETED, exit_code=0)
GONE = Truth(state=State.LOST, cause=Cause.SUPERVISOR_GONE, says=SENTENCES[Cause.SUPERVISOR_GONE])
NOT_STARTED = Truth(cause=Cause.LAUNCH, says="This could not be started.")


def tells(status: TaskStatus, truth: Truth) -> AttemptRow:
    """Wait for the end; fail unless row and attempt tell that truth and no process of the attempt is left."""
    ended(status)
    attempt = status.attempts()[-1]
    told = Truth(
        cause=status.cause,
        state=status.state,
        says=status.error,
        exit_code=attempt.exit_code,
        signal=attempt.signal,
    )
    assert told == truth, (status.row, attempt)
    assert (attempt.state, attempt.cause, attempt.reference) == (status.state, status.cause, status.reference)
    assert (status.reference is None) == (status.cause in (None, Cause.CANCELLED))
    assert status.row.runner_pid is None and status.finished_at is not None
    if attempt.pid is not None:
        wait_until(lambda: session_of(attempt.pid or 0) == [], PATIENCE, "the end of all that the runner left")
    return attempt


def session_of(leader: int) -> list[int]:
    """Return the living processes of a session."""
    found = ((pid, process.read_stat(pid)) for pid in psutil.pids())
    return [pid for pid, stat in found if stat and stat.session == leader and stat.state not in process.GONE]


class Bystander:
    """A task that runs beside a fault."""

    def __init__(self, runtime: Runtime, go: Path) -> None:
        self.runtime = runtime
        self.go = go
        call = Call(definition=registry.get(zoo.wait.name), settings={"path": str(go)})
        self.id = runtime.initiate(call).id
        wait_until(lambda: self.row.message == "waiting", PATIENCE, "a task beside the fault")
        supervisor = runtime.store.supervisor(self.row.supervisor_id) if self.row.supervisor_id else None
        assert supervisor is not None
        self.supervisor: Identity = identity_of(supervisor)
        self.pid = self.row.runner_pid

    @property
    def row(self) -> StatusRow:
        """The row as it stands; looking at it changes nothing."""
        row = self.runtime.store.get(self.id)
        assert row is not None
        return row

    def ends_as_if_nothing_had_been(self) -> None:
        """Let it go, and see that neither it nor its supervisor has suffered."""
        assert self.row.state is State.RUNNING and self.row.runner_pid == self.pid, self.row
        self.go.touch()
        wait_until(lambda: self.row.state.is_final, PATIENCE, "the end of the task beside the fault")
        row, attempts = self.row, self.runtime.store.attempts(self.id)
        assert (row.state, row.result, row.error, row.cause) == (State.COMPLETED, "waited", None, None), row
        assert [attempt.pid for attempt in attempts] == [self.pid]
        assert process.is_alive(self.supervisor)
        wait_until(self._supervisor_has_spares_only, PATIENCE, f"nothing but spares under {self.supervisor}")

    def _supervisor_has_spares_only(self) -> bool:
        with suppress(psutil.Error):
            runners = runners_of(self.supervisor)
            zombies = [child for child in runners if child.status() == psutil.STATUS_ZOMBIE]
            return len(runners) <= self.runtime.settings.spare_runners and not zombies
        return False


@contextmanager
def nothing_else_touched(runtime: Runtime, folder: Path) -> Iterator[Bystander]:
    """Run a task beside a fault; a fault of the supervisor itself needs a runtime with another one.

    Afterwards it completes as if nothing had been, and its supervisor, the same, has nothing but its spares.
    """
    bystander = Bystander(runtime, folder / f"go-{os.urandom(4).hex()}")
    try:
        yield bystander
        bystander.ends_as_if_nothing_had_been()
    finally:
        bystander.go.touch()
