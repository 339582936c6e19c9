"""Finding what is due, and claiming it once."""

from __future__ import annotations

import json

from forktask import clock
from forktask.rows import new_id
from forktask.states import Cause, StartMethod, State
from forktask.store import Store
from tests.store.examples import RUNNER, SUPERVISOR, a_claim, a_row, an_end, inserted, read, running
from tests.store.forking import forked

TASK = a_row().task


def test_due_are_the_waiting_rows_of_known_tasks_by_priority_then_age(store: Store) -> None:
    old, urgent, young = inserted(store), inserted(store, priority=90), inserted(store)
    past = inserted(store, run_after=clock.after(-1))
    inserted(store, run_after=clock.after(60))
    inserted(store, start_method=StartMethod.SPAWN)
    inserted(store, task="other")
    inserted(store, state=State.PAUSED)
    running(store)
    ids = [old.id, young.id, past.id]
    assert [found[0] for found in store.due([TASK, "unused", "more"], 10)] == [urgent.id, *sorted(ids)]
    assert store.due([TASK], 1) == [(urgent.id, TASK)]
    assert store.due([], 10) == []
    assert store.due([TASK], 0) == []


def test_due_goes_by_the_clock_of_the_database(store: Store) -> None:
    row = inserted(store, run_after=clock.after(30))
    clock.shift(3600)
    try:
        assert store.due([TASK], 10) == []
    finally:
        clock.shift(0)
    assert read(store, row).state is State.QUEUED


def test_rows_of_unknown_tasks_are_told_after_a_while(store: Store) -> None:
    old = inserted(store, task="gone.Task", created_at=clock.after(-100), attempt=2)
    inserted(store, task="gone.Task")
    inserted(store, created_at=clock.after(-100))
    inserted(store, task="gone.Task", created_at=clock.after(-100), start_method=StartMethod.FORK)
    assert store.unknown([TASK], older_than=50) == [(old.id, 2, "gone.Task")]
    assert len(store.unknown([], older_than=50)) == 2
    assert store.unknown([TASK], older_than=200) == []


def test_a_claimed_row_runs_under_its_supervisor(store: Store) -> None:
    before = inserted(
        store,
        percent=3.0,
        message="m",
        done=1,
        total=2,
        warnings=["w"],
        cause=Cause.EXCEPTION,
        error="e",
        result=1,
        finished_at=clock.now(),
        checkpoint={"at": 7},
        unit="rows",
    )
    (row,) = store.claim([a_claim(before.id)])
    assert row == read(store, row)
    assert row.state is State.RUNNING
    assert row.supervisor_id == SUPERVISOR
    assert (row.runner_boot_id, row.runner_pid_namespace) == (RUNNER.boot_id, RUNNER.pid_namespace)
    assert (row.runner_pid, row.runner_start_ticks) == (RUNNER.pid, RUNNER.start_ticks)
    assert row.started_at is not None
    assert row.started_at >= before.created_at
    left = (row.percent, row.message, row.done, row.total, row.warnings, row.cause, row.error, row.result)
    assert (*left, row.finished_at) == (None,) * 9
    assert (row.checkpoint, row.unit) == ({"at": 7}, "rows")


def test_what_is_not_waiting_cannot_be_claimed(store: Store) -> None:
    paused = inserted(store, state=State.PAUSED)
    done = inserted(store, state=State.COMPLETED)
    cancelled = inserted(store, cancel_requested_at=clock.now())
    free, more = inserted(store), inserted(store)
    rows = [paused, done, cancelled, free, more]
    claimed = store.claim([a_claim(status_id) for status_id in [*(row.id for row in rows), new_id()]])
    assert {row.id for row in claimed} == {free.id, more.id}
    assert store.claim([a_claim(row.id) for row in rows]) == []
    assert store.claim([a_claim(free.id)]) == []
    assert store.claim([]) == []


def test_a_row_is_claimed_once_however_many_supervisors_want_it(store: Store, url: str) -> None:
    ids = [inserted(store).id for _ in range(40)]
    store.close()

    def claim_all() -> str:
        mine = Store(url)
        supervisor_id = new_id()
        claimed = [row.id.hex for one in ids for row in mine.claim([a_claim(one, supervisor_id)])]
        claimed += [row.id.hex for row in mine.claim([a_claim(one, supervisor_id) for one in ids])]
        return json.dumps(claimed)

    answers = [json.loads(answer) for answer in forked([claim_all] * 6)]
    assert sorted(name for answer in answers for name in answer) == sorted(one.hex for one in ids)


def test_many_claims_at_once_take_each_row_once(store: Store, url: str) -> None:
    ids = [inserted(store).id for _ in range(40)]
    store.close()

    def claim_all() -> str:
        supervisor_id = new_id()
        rows = Store(url).claim([a_claim(one, supervisor_id) for one in ids])
        return json.dumps([row.id.hex for row in rows if row.supervisor_id == supervisor_id])

    answers = [json.loads(answer) for answer in forked([claim_all] * 6)]
    claimed = [name for answer in answers for name in answer]
    assert len(claimed) == len(set(claimed))
    # On PostgreSQL and MariaDB a row that another is claiming is passed over, not waited for.
    rest = [one for one in ids if one.hex not in claimed]
    assert len(store.claim([a_claim(one) for one in rest])) == len(rest)


def test_a_released_row_waits_again_at_the_same_attempt(store: Store) -> None:
    row = running(store)
    assert store.release(row.id, 1)
    again = read(store, row)
    assert (again.state, again.attempt, again.runner_pid, again.started_at) == (State.QUEUED, 1, None, None)
    assert store.due([TASK], 10) == [(row.id, TASK)]
    assert not store.release(row.id, 1)


def test_a_row_cancelled_between_claim_and_release_is_cancelled(store: Store) -> None:
    row = running(store)
    assert store.request_cancel(row.id)
    assert store.release(row.id, 1)
    again = read(store, row)
    assert (again.state, again.cause, again.runner_pid) == (State.CANCELLED, Cause.CANCELLED, None)
    assert again.finished_at is not None


def test_an_older_attempt_cannot_release(store: Store) -> None:
    row = running(store)
    store.save([], [an_end(row, State.QUEUED)])
    store.claim([a_claim(row.id)])
    assert not store.release(row.id, 1)
    assert read(store, row).state is State.RUNNING
