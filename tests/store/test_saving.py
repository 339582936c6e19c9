"""What a supervisor writes of its rows, once and in one transaction."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from forktask import clock
from forktask.phases import Phase
from forktask.rows import LogRow, new_id
from forktask.states import Cause, State
from forktask.store import Store
from tests.store.examples import RUNNER, SUPERVISOR, a_claim, a_sample, an_end, inserted, read, running

STEP: Phase = {"name": "Schritt – 第一", "state": "now"}


def a_piece(row_id: UUID, position: int, text: str = "hello\n") -> LogRow:
    return LogRow(row_id, 1, position, clock.now(), None, None, text)


def test_samples_of_many_rows_are_written_together(supervisor_store: Store) -> None:
    store = supervisor_store
    rows = [running(store) for _ in range(5)]
    samples = [a_sample(row, percent=float(n), message=f"row {n}", done=n, total=9) for n, row in enumerate(rows)]
    assert store.save(samples, [], []) == set()
    for n, row in enumerate(rows):
        now = read(store, row)
        assert (now.percent, now.message, now.done, now.total) == (float(n), f"row {n}", n, 9)
        assert now.updated_at > row.updated_at


def test_warnings_phases_and_checkpoint_stay_unless_a_sample_says_others(store: Store) -> None:
    row = running(store, checkpoint={"line": 1})
    store.save(
        [a_sample(row, percent=1.0, warnings=["w"], phases=[STEP], checkpoint={"line": 2}, total=5, unit="rows")],
        [],
        [],
    )
    store.save([a_sample(row, percent=2.0)], [], [])
    now = read(store, row)
    assert (now.percent, now.total, now.unit) == (2.0, None, None)
    assert (now.warnings, now.phases, now.checkpoint) == (["w"], [STEP], {"line": 2})


def test_a_sample_of_an_older_attempt_writes_nothing(store: Store) -> None:
    row, other = running(store), running(store)
    store.save([], [an_end(row, State.QUEUED)], [])
    store.claim([a_claim(row.id)])
    samples = [a_sample(row, percent=50.0), a_sample(other, percent=60.0)]
    assert store.save(samples, [], []) == {row.id}
    assert read(store, row).percent is None
    assert read(store, other).percent == 60.0


def test_a_sample_after_the_end_writes_nothing(store: Store) -> None:
    row = running(store)
    store.save([], [an_end(row)], [])
    assert store.save([a_sample(row, percent=50.0)], [], []) == {row.id}
    assert read(store, row).percent == 100.0


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST])
def test_an_end_is_written_once(store: Store, state: State) -> None:
    row = running(store)
    first = an_end(row, state, error="first", reference="A", cause=Cause.EXIT, exit_code=3, result={"n": 1})
    assert store.save([], [first], []) == set()
    assert store.save([], [an_end(row, State.FAILED, error="second", supervisor_id=new_id())], []) == {row.id}
    now = read(store, row)
    assert (now.state, now.error, now.reference, now.cause, now.result) == (state, "first", "A", Cause.EXIT, {"n": 1})
    assert now.finished_at == first.finished_at
    runner = (now.runner_boot_id, now.runner_pid_namespace, now.runner_pid, now.runner_start_ticks)
    assert runner == (None, None, None, None)
    assert now.supervisor_id == SUPERVISOR
    (attempt,) = store.attempts(row.id)
    assert (attempt.state, attempt.exit_code, attempt.pid, attempt.error) == (state, 3, RUNNER.pid, "first")


def test_ends_of_all_kinds_are_written_at_once(store: Store) -> None:
    rows = [running(store, max_attempts=2) for _ in range(12)]
    done, failed, again, stopped = rows[:3], rows[3:6], rows[6:9], rows[9:11]
    for row in stopped:
        store.request_cancel(row.id)
    strange = running(store)
    store.save([], [an_end(strange, State.FAILED, supervisor_id=new_id())])
    ends = [
        *(an_end(row, result=number, last=a_sample(row, message=f"{number}")) for number, row in enumerate(done)),
        *(an_end(row, State.FAILED, cause=Cause.EXIT, exit_code=number) for number, row in enumerate(failed)),
        *(an_end(row, State.QUEUED, run_after=clock.after(60)) for row in again),
        *(an_end(row, State.QUEUED, run_after=clock.after(60)) for row in stopped),
        an_end(strange),
        an_end(rows[11]),
    ]
    assert store.save([], ends) == {strange.id}
    assert [(read(store, row).result, read(store, row).message) for row in done] == [(0, "0"), (1, "1"), (2, "2")]
    assert [store.attempts(row.id)[0].exit_code for row in failed] == [0, 1, 2]
    assert {(read(store, row).state, read(store, row).attempt) for row in again} == {(State.QUEUED, 2)}
    assert {(read(store, row).state, read(store, row).attempt) for row in stopped} == {(State.CANCELLED, 1)}
    assert read(store, rows[11]).state is State.COMPLETED
    assert all(len(store.attempts(row.id)) == 1 for row in [*rows, strange])
    assert store.save([], ends) == {strange.id}  # once more, as after an answer that was lost
    assert all(len(store.attempts(row.id)) == 1 for row in [*rows, strange])


def test_an_end_says_when_the_attempt_began(store: Store) -> None:
    row, again = running(store), running(store)
    begun = clock.after(5)
    store.save([], [an_end(row, started_at=begun), an_end(again, started_at=None)])
    assert read(store, row).started_at == store.attempts(row.id)[0].started_at == begun
    assert read(store, again).started_at == again.started_at


def test_completion_forces_100_and_keeps_the_last_message(store: Store) -> None:
    row, silent = running(store), running(store)
    store.save([a_sample(silent, percent=40.0, message="before")], [], [])
    last = a_sample(row, percent=97.0, message="Almost", done=97, total=100, checkpoint={"c": 1})
    store.save([], [an_end(row, last=last), an_end(silent)], [])
    now = read(store, row)
    assert (now.percent, now.message, now.done, now.total, now.checkpoint) == (100.0, "Almost", 97, 100, {"c": 1})
    assert (read(store, silent).percent, read(store, silent).message) == (100.0, "before")


def test_a_failure_keeps_the_percent_where_it_was(store: Store) -> None:
    row = running(store)
    store.save([], [an_end(row, State.FAILED, last=a_sample(row, percent=97.0))], [])
    assert read(store, row).percent == 97.0


def test_what_completed_has_a_message(store: Store) -> None:
    rows = [running(store, message="old") for _ in range(3)]
    ends = [an_end(rows[0]), an_end(rows[1], last=a_sample(rows[1], percent=9.0))]
    store.save([], [*ends, an_end(rows[2], last=a_sample(rows[2], message="All there"))], [])
    assert [read(store, row).message for row in rows] == ["Done", "Done", "All there"]


def test_an_end_that_is_queued_begins_the_next_attempt(store: Store) -> None:
    row = running(store, max_attempts=3)
    later = clock.after(30)
    end = an_end(row, State.QUEUED, cause=Cause.EXCEPTION, error="oops", run_after=later)
    assert store.save([], [end], []) == set()
    now = read(store, row)
    assert (now.state, now.attempt, now.max_attempts) == (State.QUEUED, 2, 3)
    assert now.run_after is not None and abs(now.run_after - later) < timedelta(seconds=2)
    assert (now.cause, now.error) == (Cause.EXCEPTION, "oops")
    assert (now.runner_pid, now.finished_at) == (None, None)
    assert now.started_at == row.started_at
    assert [(one.attempt, one.state) for one in store.attempts(row.id)] == [(1, State.QUEUED)]


@pytest.mark.parametrize("seen", [False, True], ids=["asked", "stopped"])
def test_a_pause_outlives_the_attempt(store: Store, seen: bool) -> None:
    row = running(store, max_attempts=3)
    store.request_pause(row.id, True)
    assert not seen or store.set_paused(row.id, 1, True)
    store.save([], [an_end(row, State.QUEUED, cause=Cause.INTERRUPTED)], [])
    now = read(store, row)
    assert (now.state, now.attempt, now.runner_pid, now.pause_requested_at) == (State.PAUSED, 2, None, None)
    assert [one.state for one in store.attempts(row.id)] == [State.QUEUED]
    assert store.resume_waiting(row.id)
    assert len(store.claim([a_claim(row.id)])) == 1


def test_an_attempt_that_does_not_count_is_given_back(store: Store) -> None:
    row = running(store, max_attempts=3)
    store.save([], [an_end(row, State.QUEUED, cause=Cause.INTERRUPTED, counts=False)], [])
    now = read(store, row)
    assert (now.attempt, now.max_attempts) == (2, 4)


def test_a_cancel_in_the_moment_of_a_retry_is_not_forgotten(store: Store) -> None:
    row = running(store)
    store.request_cancel(row.id)
    assert store.save([], [an_end(row, State.QUEUED, cause=Cause.EXCEPTION, run_after=clock.now())], []) == set()
    now = read(store, row)
    assert (now.state, now.cause, now.attempt) == (State.CANCELLED, Cause.CANCELLED, 1)
    assert [one.state for one in store.attempts(row.id)] == [State.CANCELLED]


def test_a_save_that_went_through_unheard_can_be_repeated(store: Store) -> None:
    row, other = running(store), running(store)
    ends, log = [an_end(row), an_end(other, State.QUEUED)], [a_piece(row.id, 0), a_piece(row.id, 1)]
    assert store.save([], ends, log) == set()
    assert store.save([], ends, log) == set()
    assert len(store.attempts(row.id)) == len(store.attempts(other.id)) == 1
    assert len(store.log(row.id)) == 2
    assert read(store, other).attempt == 2


def test_output_is_written_whatever_is_in_it(store: Store) -> None:
    row = running(store)
    pieces = [
        a_piece(row.id, 0, "a\0b\udc80😀\n"),
        a_piece(row.id, 1)._replace(logger="l" * 300, level="NOTSOCRITICAL"),
    ]
    store.save([], [an_end(row, State.FAILED, traceback="t\0t", error_class="E" * 300)], pieces)
    first, second = store.log(row.id)
    assert first.text == "ab?😀\n"
    assert second.logger == "l" * 254 + "…"
    assert store.attempts(row.id)[0].traceback == "tt"


def test_nothing_to_save_asks_nothing(tmp_path: object) -> None:
    store = Store(f"sqlite:///{tmp_path}/none/none.sqlite")
    assert store.save([], [], []) == set()
    assert store.requests([]) == []


def test_requests_tell_what_people_asked(supervisor_store: Store) -> None:
    store = supervisor_store
    plain, cancelled, paused = running(store), running(store), running(store)
    store.request_cancel(cancelled.id)
    store.request_pause(paused.id, True)
    asked = {request.id: request for request in store.requests([plain.id, cancelled.id, paused.id, new_id()])}
    assert set(asked) == {plain.id, cancelled.id, paused.id}
    assert asked[plain.id] == (plain.id, 1, State.RUNNING, SUPERVISOR, None, None)
    assert asked[cancelled.id].cancel_requested_at is not None
    assert asked[paused.id].pause_requested_at is not None
    store.request_pause(paused.id, False)
    assert store.requests([paused.id])[0].pause_requested_at is None


def test_an_attempt_under_way_is_paused_and_goes_on(store: Store) -> None:
    row, waiting = running(store), inserted(store)
    assert store.set_paused(row.id, 1, True)
    assert read(store, row).state is State.PAUSED
    assert not store.set_paused(row.id, 1, True)
    assert not store.set_paused(row.id, 2, False)
    assert not store.set_paused(waiting.id, 1, True)
    assert store.save([a_sample(row, percent=3.0)], [], []) == set()
    assert store.set_paused(row.id, 1, False)
    assert read(store, row).state is State.RUNNING
