"""Attempts after the first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from forktask.errors import StateError
from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.runtimes import ended, wait_for
from tests.waiting import wait_until


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The file in which a task leaves its notes."""
    return tmp_path / "notes"


def test_a_failed_attempt_is_run_again_and_continues_at_its_checkpoint(runtime_each: Runtime, notes: Path) -> None:
    status = ended(zoo.FlakyTask.initiate({"notes": str(notes)}))
    assert (status.state, status.result) == (State.COMPLETED, {"attempt": 3})
    assert (status.attempt, status.max_attempts) == (3, 3)
    assert (status.error, status.cause, status.reference) == (None, None, None)
    first, second, third = status.attempts()
    assert [one.state for one in (first, second, third)] == [State.QUEUED, State.QUEUED, State.COMPLETED]
    assert [one.cause for one in (first, second, third)] == [Cause.EXCEPTION, Cause.EXCEPTION, None]
    assert first.traceback and "attempt 1" in first.traceback
    assert len({one.pid for one in (first, second, third)}) == 3
    lines = [line.rsplit(" ", 1)[0] for line in notes.read_text().splitlines()]
    assert lines == ["1 None", "2 {'attempt': 1}", "3 {'attempt': 2}"]


def test_the_next_attempt_waits_for_its_backoff(runtime: Runtime) -> None:
    status = zoo.SlowBackoffTask.initiate()
    wait_for(status, lambda one: one.attempt == 2)
    (first,) = status.attempts()
    assert status.run_after is not None
    assert 59.9 < (status.run_after - first.finished_at).total_seconds() < 65
    beat = runtime.store.supervisors()[0].heartbeat_at
    wait_until(lambda: runtime.store.supervisors()[0].heartbeat_at - beat > timedelta(seconds=2), 30, "looks")
    assert (status.refresh().state, len(status.attempts())) == (State.QUEUED, 1)
    assert status.cancel().state is State.CANCELLED


def test_an_attempt_that_fails_too_often_stays_failed(runtime: Runtime) -> None:
    status = ended(zoo.AlwaysFailsTask.initiate())
    assert (status.state, status.cause, status.attempt) == (State.FAILED, Cause.EXCEPTION, 3)
    assert [one.state for one in status.attempts()] == [State.QUEUED, State.QUEUED, State.FAILED]
    assert status.attempts()[-1].reference == status.reference


@pytest.mark.parametrize(("matches", "attempts"), [(True, 3), (False, 1)])
def test_only_matching_exceptions_are_run_again(runtime: Runtime, matches: bool, attempts: int) -> None:
    status = ended(zoo.OnlyOSErrorTask.initiate({"matches": matches}))
    assert status.state is State.FAILED
    assert len(status.attempts()) == attempts


def test_out_of_memory_is_run_again_once(runtime: Runtime) -> None:
    status = ended(zoo.DevourTask.initiate())
    assert (status.state, status.cause) == (State.FAILED, Cause.OUT_OF_MEMORY)
    assert len(status.attempts()) == 2


def test_a_kill_is_run_again(runtime: Runtime) -> None:
    status = ended(zoo.KilledOnceTask.initiate())
    assert (status.state, status.result) == (State.COMPLETED, 2)
    assert status.attempts()[0].cause is Cause.SIGNAL


def test_retry_by_order_begins_another_attempt(runtime_each: Runtime) -> None:
    status = ended(zoo.fail.initiate())
    reference = status.reference
    status.retry()
    assert status.attempt == 2
    ended(status)
    assert (status.state, status.attempt) == (State.FAILED, 2)
    assert [one.attempt for one in status.attempts()] == [1, 2]
    assert status.reference != reference


def test_retry_by_order_of_what_completed_is_refused(runtime: Runtime) -> None:
    status = ended(zoo.nothing.initiate())
    with pytest.raises(StateError):
        status.retry()
    assert status.refresh().state is State.COMPLETED


def test_retry_by_order_of_what_was_cancelled_runs_to_its_end(runtime: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    status = zoo.wait.initiate({"path": str(go)})
    status.cancel()
    assert ended(status).state is State.CANCELLED
    go.touch()
    status.retry()
    assert ended(status).state is State.COMPLETED
    assert status.cancel_requested_at is None


def test_a_task_that_spawns_does_so_at_each_attempt(runtime: Runtime) -> None:
    status = ended(zoo.SpawnedTask.initiate({"fails": True}))
    assert status.state is State.COMPLETED, status.attempts()
    assert str(status.id) in status.result, "the second attempt was forked"


def test_private_arguments_are_there_at_each_attempt(runtime: Runtime) -> None:
    status = ended(zoo.PrivateTask.initiate({"fails_until": 3}))
    assert (status.state, status.result, status.attempt) == (State.COMPLETED, "s3cret", 3)


def test_a_task_that_asks_for_it_is_run_later(runtime_each: Runtime) -> None:
    status = zoo.LaterTask.initiate({"attempts": 2, "delay": "+1 min", "message": "The mail is not there yet."})
    wait_for(status, lambda one: one.attempt == 2)
    assert (status.state, status.error) == (State.QUEUED, "The mail is not there yet.")
    (first,) = status.attempts()
    assert first.error_class == "forktask.retry.RetryLater"
    assert status.run_after is not None
    assert 59.9 < (status.run_after - first.finished_at).total_seconds() < 65
    status.cancel()


@pytest.mark.parametrize("counts", [True, False])
def test_asking_for_later_uses_an_attempt_unless_it_does_not_count(runtime: Runtime, counts: bool) -> None:
    status = ended(zoo.LaterTask.initiate({"attempts": 4, "delay": 0.01, "counts": counts}))
    if counts:
        assert (status.state, status.cause, status.attempt) == (State.FAILED, Cause.EXCEPTION, 2)
        assert status.error == "This could not be done yet."
    else:
        assert (status.state, status.result, status.max_attempts) == (State.COMPLETED, 4, 5)
