"""Each due time of a recurring task has one run, however many look for it."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from forktask import clock, registry
from forktask.schedule import declaration_of
from forktask.schedule.changes import Source, new_row
from forktask.schedule.planning import plan, run_key
from forktask.states import State
from forktask.store import Store
from forktask.supervisor.schedules import LOOK_AHEAD, Schedules, run_of
from tests.store.forking import forked
from tests.store.recurring import (
    MINUTE,
    PERIOD,
    SHOP,
    TASK,
    entered,
    found,
    look,
    passed,
    runs,
    said,
)
from tests.waiting import wait_until


def test_what_is_due_becomes_a_row_in_the_queue(store: Store) -> None:
    row = passed(store, entered(store, said(settings={"a": 1}, owner="bob")), 61 * MINUTE)
    look(store)
    (run,) = runs(store)
    assert (run.state, run.task, run.queue, run.settings, run.owner) == (State.QUEUED, TASK, "default", {"a": 1}, "bob")
    assert (run.run_after, run.max_attempts, run.bound) == (row.due_at, 1, 0)
    after = found(store)
    assert (after.last_due_at, after.last_status_id) == (row.due_at, run.id)
    assert after.due_at == row.anchor_at + 120 * MINUTE


def test_what_is_not_due_yet_waits(store: Store) -> None:
    passed(store, entered(store, said()), 59 * MINUTE)
    look(store)
    assert runs(store) == []


def test_of_eight_processes_that_see_the_same_one_orders_the_run(url: str, store: Store) -> None:
    row = passed(store, entered(store, said(overlap="parallel", missed="all")), 190 * MINUTE)

    def order() -> str:
        own = Store(url)
        what = plan(row, own.schedules()[1], is_live=False)
        return str(len(own.order_runs(row, what, [run_of(row, due, registry.get(TASK)) for due in what.runs])))

    assert sorted(forked([order] * 8)) == ["0"] * 7 + ["3"]
    assert [run.run_after for run in runs(store)] == [row.anchor_at + n * 60 * MINUTE for n in (1, 2, 3)]


def test_a_plan_that_another_carried_out_changes_nothing_any_more(store: Store) -> None:
    row = passed(store, entered(store, said()), 61 * MINUTE)
    stale = plan(row, store.schedules()[1], is_live=False)
    look(store)
    after = passed(store, found(store), PERIOD)
    assert store.order_runs(row, stale, [run_of(row, due, registry.get(TASK)) for due in stale.runs]) == []
    assert found(store) == after
    assert len(runs(store)) == 1


def test_eight_supervisors_order_one_run_a_second(url: str, store: Store) -> None:
    row = entered(store, said(every=1, overlap="parallel"))

    def supervise() -> str:
        one = Schedules(Store(url, supervisor=True), None)
        mine = 0

        def looked() -> bool:
            nonlocal mine
            try:
                one.look()
            except Exception as error:
                if not getattr(error, "transient", False):
                    raise
            mine += 1
            return clock.now() > row.anchor_at + timedelta(seconds=6)

        wait_until(looked, 30)
        return str(mine)

    assert len(forked([supervise] * 8)) == 8
    times = [run.run_after for run in runs(store)]
    assert len(times) >= 5
    assert times == [row.anchor_at + timedelta(seconds=number) for number in range(1, len(times) + 1)]


def test_a_run_is_not_ordered_again_after_the_clock_was_set_back(store: Store) -> None:
    row = passed(store, entered(store, said(overlap="parallel")), 61 * MINUTE)
    look(store)
    after = found(store)
    assert store.change_schedule(after, {"due_at": row.due_at, "next_at": row.next_at, "updated_at": clock.now()})
    look(store)
    (run,) = runs(store)
    assert found(store).last_status_id == run.id
    assert found(store).due_at == after.due_at


def test_a_clock_that_was_set_back_does_not_keep_a_task_waiting(store: Store) -> None:
    row = entered(store, said())
    passed(store, row, -timedelta(days=400))
    before = found(store)
    assert store.change_schedule(before, {"anchor_at": row.anchor_at, "updated_at": clock.now()})
    look(store, Source(application="other:app"))
    assert found(store).due_at == row.due_at


def test_nothing_is_due_after_the_end(store: Store) -> None:
    row = entered(store, said(end=clock.after(7000)))
    passed(store, row, 61 * MINUTE)
    look(store)
    assert len(runs(store)) == 1
    after = found(store)
    assert (after.due_at, after.next_at) == (None, None)
    assert not store.has_schedules()


def test_a_task_that_this_process_does_not_know_is_left_to_another(store: Store) -> None:
    made = declaration_of("shop.Elsewhere", {"every": 60, "name": "nightly"}, settings={}, options={})
    row = passed(store, entered(store, made), 61 * MINUTE)
    look(store)
    assert found(store) == row


def test_nothing_is_read_while_nothing_is_due(store: Store) -> None:
    entered(store, said())
    one = Schedules(store, None)
    one.look()
    passed(store, found(store), 61 * MINUTE)
    one.look()
    assert runs(store) == [], f"seen after {LOOK_AHEAD} seconds at the latest"


def test_many_that_are_due_at_once_keep_no_supervisor_from_its_other_duties(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        passed(store, entered(store, said(name)), 61 * MINUTE)
    seconds = itertools.count(clock.monotonic())
    monkeypatch.setattr("forktask.clock.monotonic", lambda: next(seconds))
    one, counts = Schedules(store, None), []
    for _ in range(3):
        one.look()
        counts.append(len(runs(store)))
    assert counts == [1, 2, 3], "one at each look, where each takes long"


def test_jitter_is_the_same_for_all_and_keeps_the_due_time(store: Store) -> None:
    row = entered(store, said(jitter="10 minutes"))
    assert row.due_at is not None
    assert row.next_at is not None
    late = row.next_at - row.due_at
    assert timedelta(0) < late < 10 * MINUTE
    assert new_row(said(jitter="10 minutes"), SHOP, row.created_at).next_at == row.next_at
    passed(store, row, row.due_at - row.created_at)
    look(store)
    assert runs(store) == []
    # Its moment and not its due time moves the jitter of the due times that the table then has.
    moved = passed(store, found(store), 10 * MINUTE)
    look(store)
    (run,) = runs(store)
    assert run.run_after == moved.due_at


def test_a_key_is_of_one_due_time() -> None:
    one, another = (new_row(said(name), SHOP, clock.now()).id for name in ("one", "another"))
    time = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
    assert len({run_key(one, time), run_key(another, time), run_key(one, time + MINUTE)}) == 3
    assert run_key(one, time) == run_key(one, datetime.fromisoformat("2026-01-01T01:00:00+01:00"))
