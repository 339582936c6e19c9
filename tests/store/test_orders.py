"""Orders of people, and ends that somebody else writes."""

from __future__ import annotations

from datetime import timedelta

from forktask import clock
from forktask.states import Cause, State
from forktask.store import Store
from tests.store.examples import RUNNER, SUPERVISOR, a_claim, a_sample, an_end, inserted, read, running
from tests.store.forking import forked


def test_what_waits_is_cancelled_at_once(store: Store) -> None:
    queued, held = inserted(store), inserted(store)
    store.pause_waiting(held.id)
    for row in (queued, held):
        assert store.cancel_waiting(row.id)
        now = read(store, row)
        assert (now.state, now.cause, now.error) == (State.CANCELLED, Cause.CANCELLED, "Cancelled before it started.")
        assert now.finished_at is not None
        assert not store.cancel_waiting(row.id)


def test_what_is_cancelled_between_attempts_does_not_say_that_it_never_started(store: Store) -> None:
    row = running(store)
    store.save([], [an_end(row, State.QUEUED, cause=Cause.EXCEPTION, error="e", reference="r")], [])
    assert store.cancel_waiting(row.id)
    assert (read(store, row).state, read(store, row).error) == (State.CANCELLED, "This was cancelled.")


def test_what_is_under_way_is_asked_to_end(store: Store) -> None:
    row, stopped = running(store), running(store)
    store.set_paused(stopped.id, 1, True)
    for one in (row, stopped):
        assert not store.cancel_waiting(one.id)
        assert store.request_cancel(one.id)
        first = read(store, one).cancel_requested_at
        assert first is not None
        assert store.request_cancel(one.id)
        assert read(store, one).cancel_requested_at == first


def test_what_waits_or_has_ended_is_not_asked(store: Store) -> None:
    queued, held, done = inserted(store), inserted(store), inserted(store, state=State.COMPLETED)
    store.pause_waiting(held.id)
    for row in (queued, held, done):
        assert not store.request_cancel(row.id)
        assert not store.request_pause(row.id, True)
        assert read(store, row).cancel_requested_at is None


def test_what_waits_is_held_back_and_let_go(store: Store) -> None:
    row, busy = inserted(store), running(store)
    assert store.pause_waiting(row.id)
    assert read(store, row).state is State.PAUSED
    assert store.claim([a_claim(row.id)]) == []
    assert not store.pause_waiting(row.id)
    assert store.resume_waiting(row.id)
    assert read(store, row).state is State.QUEUED
    assert not store.pause_waiting(busy.id)
    store.set_paused(busy.id, 1, True)
    assert not store.resume_waiting(busy.id)


def test_a_pause_is_asked_for_and_taken_back(store: Store) -> None:
    row = running(store)
    assert store.request_pause(row.id, True)
    assert read(store, row).pause_requested_at is not None
    store.set_paused(row.id, 1, True)
    assert store.request_pause(row.id, False)
    assert read(store, row).pause_requested_at is None


def test_a_retry_begins_the_next_attempt(store: Store) -> None:
    for state in (State.FAILED, State.CANCELLED, State.LOST):
        row = running(store)
        store.request_cancel(row.id)
        end = an_end(row, state, cause=Cause.EXIT, error="e", reference="r", result=1)
        store.save([a_sample(row, percent=5.0, message="m", checkpoint={"l": 1}, warnings=["w"])], [end], [])
        assert store.retry(row.id, 1)
        now = read(store, row)
        assert (now.state, now.attempt, now.max_attempts, now.run_after) == (State.QUEUED, 2, 2, None)
        assert (now.error, now.cause, now.reference, now.result, now.finished_at) == (None,) * 5
        assert (now.percent, now.message, now.warnings, now.cancel_requested_at) == (None,) * 4
        assert now.checkpoint == {"l": 1}
        assert not store.retry(row.id, 1)


def test_a_retry_does_not_lower_the_attempts_that_are_left(store: Store) -> None:
    row = inserted(store, state=State.FAILED, max_attempts=5)
    assert store.retry(row.id, 1)
    assert read(store, row).max_attempts == 5


def test_what_completed_or_runs_is_not_retried(store: Store) -> None:
    done, busy, failed = inserted(store, state=State.COMPLETED), running(store), inserted(store, state=State.FAILED)
    assert not store.retry(done.id, 1)
    assert not store.retry(busy.id, 1)
    assert not store.retry(failed.id, 2)


def test_an_attempt_is_lost_once(store: Store) -> None:
    row = running(store)
    assert store.mark_lost(row.id, 1, "pid 4711 is gone", error="It was lost.", reference="Q1")
    now = read(store, row)
    assert (now.state, now.cause, now.error) == (State.LOST, Cause.SUPERVISOR_GONE, "It was lost.")
    assert (now.reference, now.runner_pid, now.supervisor_id) == ("Q1", None, SUPERVISOR)
    assert now.finished_at is not None
    (attempt,) = store.attempts(row.id)
    assert (attempt.state, attempt.traceback, attempt.pid) == (State.LOST, "pid 4711 is gone", RUNNER.pid)
    assert (attempt.supervisor_id, attempt.started_at, attempt.error_class) == (SUPERVISOR, row.started_at, None)
    assert not store.mark_lost(row.id, 1, "again", error="x", reference="y")
    assert store.save([a_sample(row)], [an_end(row, supervisor_id=None)], []) == {row.id}
    assert read(store, row).error == "It was lost."


def test_an_attempt_is_lost_once_however_many_look(store: Store, url: str) -> None:
    row = running(store)
    store.close()

    def mark() -> str:
        return str(Store(url).mark_lost(row.id, 1, "gone", error="e", reference="r"))

    answers = forked([mark] * 6)
    assert sorted(answers) == ["None"] * 5 + ["lost"]
    assert len(store.attempts(row.id)) == 1


def test_a_lost_attempt_is_run_again_if_the_task_says_so(store: Store) -> None:
    row = running(store, max_attempts=3)
    later = clock.after(9)
    assert store.mark_lost(row.id, 1, "gone", error="e", reference="r", retry_at=later)
    now = read(store, row)
    assert (now.state, now.attempt, now.finished_at) == (State.QUEUED, 2, None)
    assert now.run_after is not None and abs(now.run_after - later) < timedelta(seconds=2)
    assert [one.state for one in store.attempts(row.id)] == [State.QUEUED]


def test_a_pause_outlives_a_lost_attempt(store: Store) -> None:
    row = running(store, max_attempts=3)
    store.request_pause(row.id, True)
    assert store.mark_lost(row.id, 1, "gone", error="e", reference="r", retry_at=clock.now())
    now = read(store, row)
    assert (now.state, now.attempt, now.pause_requested_at) == (State.PAUSED, 2, None)
    assert store.resume_waiting(row.id)


def test_a_lost_attempt_that_was_cancelled_is_not_run_again(store: Store) -> None:
    row = running(store)
    store.request_cancel(row.id)
    assert store.mark_lost(row.id, 1, "gone", error="e", reference="r", retry_at=clock.now())
    assert read(store, row).state is State.LOST


def test_what_is_not_under_way_is_not_lost(store: Store) -> None:
    queued, held, done = inserted(store), inserted(store), inserted(store, state=State.COMPLETED)
    store.pause_waiting(held.id)
    for row in (queued, held, done):
        assert not store.mark_lost(row.id, 1, "gone", error="e", reference="r")
        assert store.attempts(row.id) == []


def test_a_launch_fails_whether_the_row_was_claimed_or_not(store: Store) -> None:
    waiting, claimed, done = inserted(store), running(store), inserted(store, state=State.COMPLETED)
    for row in (waiting, claimed):
        assert store.fail_launch(row.id, 1, error="No process.", reference="Q", detail="EAGAIN")
        now = read(store, row)
        assert (now.state, now.cause, now.error) == (State.FAILED, Cause.LAUNCH, "No process.")
        (attempt,) = store.attempts(row.id)
        assert (attempt.cause, attempt.traceback, attempt.state) == (Cause.LAUNCH, "EAGAIN", State.FAILED)
        assert not store.fail_launch(row.id, 1, error="x", reference="y", detail="z")
    assert not store.fail_launch(done.id, 1, error="x", reference="y", detail="z")
    assert not store.fail_launch(inserted(store).id, 2, error="x", reference="y", detail="z")
