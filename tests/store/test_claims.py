"""Claiming what is due, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forktask import clock
from forktask.rows import new_id
from forktask.states import Cause, State
from forktask.store import Store
from forktask.store.statements import Compiled
from tests.store.examples import RUNNER, SUPERVISOR, a_claim, a_scope, an_end, inserted, read, running
from tests.store.forking import forked


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give what the store has the driver run from now on, once for each time that it waits for the database."""
    found: list[str] = []
    for name in ("_execute", "_execute_many", "_pipeline"):
        before = getattr(Compiled, name)

        def noted(statement: Compiled, cursor: Any, values: Any, before: Any = before) -> Any:
            found.append(statement.sql)
            return before(statement, cursor, values)

        monkeypatch.setattr(Compiled, name, noted)
    return found


def test_a_claimed_row_runs_under_its_supervisor(store: Store) -> None:
    before = inserted(
        store,
        percent=3.0,
        message="m",
        done=1,
        total=2,
        warnings=["w"],
        phases=[{"name": "p", "state": "now"}],
        cause=Cause.EXCEPTION,
        error="e",
        result=1,
        finished_at=clock.now(),
        checkpoint={"at": 7},
        unit="rows",
    )
    (claimed,) = store.claim([a_claim(before.id)])
    row = read(store, before)
    assert claimed._asdict().items() <= row._asdict().items()
    assert row.state is State.RUNNING
    assert row.supervisor_id == SUPERVISOR
    assert (row.runner_boot_id, row.runner_pid_namespace) == (RUNNER.boot_id, RUNNER.pid_namespace)
    assert (row.runner_pid, row.runner_start_ticks) == (RUNNER.pid, RUNNER.start_ticks)
    assert row.started_at is not None
    assert row.started_at >= before.created_at
    left = (row.percent, row.message, row.done, row.total, row.warnings, row.phases, row.cause, row.error)
    assert (*left, row.result, row.finished_at) == (None,) * 10
    assert (row.checkpoint, row.unit) == ({"at": 7}, None)


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


def test_rows_of_several_runners_are_claimed_at_once_each_for_its_own(store: Store, executed: list[str]) -> None:
    ids = [inserted(store).id for _ in range(20)]
    gone = inserted(store, state=State.CANCELLED).id
    runners = {status_id: 11 if number < 13 else 12 for number, status_id in enumerate(ids)} | {gone: 12}
    claims = [a_claim(status_id, pid=pid) for status_id, pid in runners.items()]
    store.claim(claims)  # once for nothing, so that its tables are there
    for status_id in ids:
        assert store.release(status_id, 1, SUPERVISOR)
    executed.clear()
    found = {row.id: row.runner_pid for row in store.claim(claims)}
    assert found == {status_id: pid for status_id, pid in runners.items() if status_id != gone}
    assert len(executed) <= 4


def test_a_row_that_another_supervisor_has_by_now_is_not_released(store: Store) -> None:
    row = running(store)
    assert store.release(row.id, 1, SUPERVISOR)
    other = new_id()
    assert store.claim([a_claim(row.id, other)])
    assert not store.release(row.id, 1, SUPERVISOR)
    assert read(store, row).state is State.RUNNING


def test_a_released_row_waits_again_at_the_same_attempt(store: Store) -> None:
    row = running(store)
    assert store.release(row.id, 1, SUPERVISOR)
    again = read(store, row)
    assert (again.state, again.attempt, again.runner_pid, again.started_at) == (State.QUEUED, 1, None, None)
    assert [found.id for found in store.due(a_scope(), 10)] == [row.id]
    assert not store.release(row.id, 1, SUPERVISOR)


def test_a_row_cancelled_between_claim_and_release_is_cancelled(store: Store) -> None:
    row = running(store)
    assert store.request_cancel(row.id)
    assert store.release(row.id, 1, SUPERVISOR)
    again = read(store, row)
    assert (again.state, again.cause, again.runner_pid) == (State.CANCELLED, Cause.CANCELLED, None)
    assert again.finished_at is not None


def test_a_row_paused_between_claim_and_release_is_paused(store: Store) -> None:
    row = running(store)
    assert store.request_pause(row.id, True)
    assert store.release(row.id, 1, SUPERVISOR)
    again = read(store, row)
    assert (again.state, again.attempt, again.pause_requested_at) == (State.PAUSED, 1, None)
    assert store.resume_waiting(row.id)


def test_an_older_attempt_cannot_release(store: Store) -> None:
    row = running(store)
    store.save([], [an_end(row, State.QUEUED)])
    store.claim([a_claim(row.id)])
    assert not store.release(row.id, 1, SUPERVISOR)
    assert read(store, row).state is State.RUNNING
