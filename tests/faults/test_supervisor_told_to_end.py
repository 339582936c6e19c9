"""The supervisor is told to end: what becomes of the tasks under way."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from forktask import process
from forktask.identity import Identity
from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.runtimes import ended, gone, runner_of, the_supervisor, wait_for, wait_message


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def kill(identity: Identity, number: int = signal.SIGKILL) -> None:
    assert process.send_signal(identity, number)


def test_a_supervisor_told_to_end_lets_resumable_tasks_run_again_under_the_next(
    own_runtime_both: Runtime, go: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    status = zoo.ResumableTask.initiate({"path": str(go), "notes": str(notes)})
    wait_message(status, "waiting")
    first = the_supervisor(own_runtime_both.store)
    kill(first, signal.SIGTERM)
    gone(first)
    row = own_runtime_both.store.get(status.id)
    assert row is not None
    assert (row.state, row.cause, row.attempt, row.max_attempts) == (State.QUEUED, Cause.INTERRUPTED, 2, 2)
    go.touch()
    assert ended(status).state is State.COMPLETED
    assert notes.read_text() == "attempt 1\nattempt 2\n"
    assert [one.cause for one in status.attempts()] == [Cause.INTERRUPTED, None]


def test_a_paused_task_stays_paused_when_its_supervisor_is_told_to_end(
    own_runtime_both: Runtime, go: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    status = zoo.ResumableTask.initiate({"path": str(go), "notes": str(notes)})
    wait_message(status, "waiting")
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    first = the_supervisor(own_runtime_both.store)
    kill(first, signal.SIGTERM)
    gone(first)
    go.touch()
    ended(zoo.nothing.initiate())  # under the next supervisor
    assert (status.refresh().state, status.attempt) == (State.PAUSED, 2)
    assert notes.read_text() == "attempt 1\n"
    status.resume()
    assert ended(status).result == {"attempt": 2}


def test_an_interruption_does_not_use_up_an_attempt(own_runtime: Runtime, go: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    status = zoo.InterruptedFlakyTask.initiate({"path": str(go), "notes": str(notes)})
    wait_message(status, "waiting")
    first = the_supervisor(own_runtime.store)
    kill(first, signal.SIGTERM)
    gone(first)
    go.touch()
    ended(status)
    assert status.state is State.FAILED
    assert [one.cause for one in status.attempts()] == [Cause.INTERRUPTED, Cause.EXCEPTION, Cause.EXCEPTION]


def test_a_supervisor_told_to_end_kills_who_ignores_it(own_runtime: Runtime) -> None:
    status = zoo.stubborn.initiate()
    wait_message(status, "ready")
    runner, supervisor = runner_of(status), the_supervisor(own_runtime.store)
    kill(supervisor, signal.SIGTERM)
    gone(supervisor)
    assert not process.is_alive(runner)
    assert ended(status).cause is Cause.INTERRUPTED
