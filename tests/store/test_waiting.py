"""What waits: what is due and for whom, and rows that only one process can start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from forktask import clock
from forktask.rows import Due, Scope, new_id
from forktask.states import Cause, StartMethod, State
from forktask.store import Store
from tests.store.examples import a_row, a_scope, an_end, inserted, read, running

TASK = a_row().task


def due(store: Store, scope: Scope | None = None) -> list[UUID]:
    return [found.id for found in store.due(scope or a_scope(), 10)]


def test_due_are_the_waiting_rows_of_known_tasks_by_priority_then_age(store: Store) -> None:
    old, urgent, young = inserted(store), inserted(store, priority=90), inserted(store)
    past = inserted(store, run_after=clock.after(-1))
    inserted(store, run_after=clock.after(60))
    inserted(store, bound=1)
    inserted(store, task="other")
    inserted(store, state=State.PAUSED)
    running(store)
    ids = [old.id, young.id, past.id]
    assert due(store, a_scope(TASK, "unused", "more")) == [urgent.id, *sorted(ids)]
    assert store.due(a_scope(), 1) == [Due(urgent.id, TASK, None, 90, urgent.due_at, None, None, None, 0, None)]
    assert store.due(a_scope(tasks=frozenset()), 10) == []
    assert store.due(a_scope(), 0) == []


def test_due_goes_by_the_clock_of_the_database(store: Store) -> None:
    row = inserted(store, run_after=clock.after(30))
    clock.shift(3600)
    try:
        assert due(store) == []
    finally:
        clock.shift(0)
    assert read(store, row).state is State.QUEUED


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_backoff_is_no_longer_and_no_shorter_where_our_own_clock_is_wrong(store: Store, step: int) -> None:
    failed, lost, much_later = (running(store, max_attempts=2) for _ in range(3))
    clock.shift(step)
    try:
        again: dict[str, Any] = {"cause": Cause.EXCEPTION, "error": "oops"}
        store.save([], [an_end(failed, State.QUEUED, run_after=clock.now(), **again)], [])
        store.save([], [an_end(much_later, State.QUEUED, run_after=clock.after(60), **again)], [])
        assert store.mark_lost(lost.id, 1, "gone", error="e", reference="r", retry_at=clock.now())
    finally:
        clock.shift(0)
    assert due(store) == sorted([failed.id, lost.id])


def test_what_is_due_says_how_it_is_to_start(store: Store) -> None:
    inserted(store, start_method=StartMethod.SPAWN)
    assert [found.start_method for found in store.due(a_scope(), 10)] == [StartMethod.SPAWN]


def test_rows_of_a_supervisor_that_lives_are_left_to_it(store: Store) -> None:
    of_all = inserted(store)
    mine = inserted(store, application="shop", destination="shop-2")
    older = inserted(store, application="shop", destination="shop-1", created_at=clock.after(-100))
    assert due(store) == sorted([of_all.id, mine.id, older.id])
    scope = a_scope(neighbours=frozenset({"shop-1", "blog-1", "wiki-1"}))
    assert due(store, scope) == sorted([of_all.id, mine.id])


def test_rows_of_a_supervisor_that_is_replaced_are_due_at_once(store: Store) -> None:
    row = inserted(store, application="shop", destination="shop-1")
    assert due(store, a_scope(mine=frozenset({"shop-2", "shop-1"}))) == [row.id]


@pytest.mark.parametrize("application", ["shop", "blog"])
def test_rows_of_a_supervisor_that_may_just_begin_are_left_to_it_for_a_grace(store: Store, application: str) -> None:
    of_another = {"application": application, "destination": "another"}
    inserted(store, **of_another)
    inserted(store, created_at=clock.after(-100), run_after=clock.after(-1), **of_another)
    old = inserted(store, created_at=clock.after(-100), **of_another)
    assert due(store) == [old.id]
    assert due(store, a_scope(grace=200.0)) == []
    assert due(store, a_scope(neighbours=frozenset({"another"}))) == []


@pytest.mark.parametrize(
    ("awaited", "values"),
    [
        (True, {"run_after": clock.after(3600)}),
        (True, {"application": "shop", "destination": "shop-0"}),
        (False, {"bound": 1}),
        (False, {"task": "other"}),
        (False, {"state": State.PAUSED}),
        (False, {"application": "blog", "destination": "blog-1", "created_at": clock.after(-100)}),
        (False, {"application": "shop", "destination": "shop-9"}),
    ],
)
def test_a_supervisor_is_awaited_by_rows_that_nobody_else_would_start(
    store: Store, awaited: bool, values: dict[str, Any]
) -> None:
    scope = a_scope(neighbours=frozenset({"shop-9"}))
    assert not store.is_awaited(scope)
    inserted(store, **values)
    assert store.is_awaited(scope) is awaited
    assert not store.is_awaited(a_scope(tasks=frozenset()))


def test_rows_of_unknown_tasks_are_told_after_a_while(store: Store) -> None:
    gone = {"task": "gone.Task", "created_at": clock.after(-100), "application": "shop"}
    old = inserted(store, attempt=2, **gone)
    inserted(store, **gone | {"created_at": clock.now()})
    inserted(store, **gone | {"task": TASK})
    inserted(store, bound=1, **gone)
    inserted(store, **gone | {"application": "blog"})
    nobodys = inserted(store, **gone | {"application": None})
    inserted(store, destination="shop-1", **gone)
    scope = a_scope(neighbours=frozenset({"shop-1"}))
    assert store.unknown(scope, of_nobody=False) == [(old.id, 2, "gone.Task")]
    assert {found[0] for found in store.unknown(scope, of_nobody=True)} == {old.id, nobodys.id}
    assert len(store.unknown(replace(scope, tasks=frozenset()), of_nobody=False)) == 2
    assert store.unknown(replace(scope, grace=200.0), of_nobody=True) == []


def test_bound_rows_are_queued(store: Store) -> None:
    first, second = (inserted(store, bound=1) for _ in range(2))
    inserted(store)
    inserted(store, bound=1, state=State.PAUSED)
    running(store, bound=1)
    assert {row.id for row in store.bound()} == {first.id, second.id}


def test_a_keeper_adopts_what_still_waits(store: Store) -> None:
    keeper = new_id()
    rows = [inserted(store, bound=1) for _ in range(3)]
    busy = running(store)
    store.adopt([row.id for row in (*rows[:2], busy)], keeper)
    store.adopt([], keeper)
    assert [read(store, row).supervisor_id for row in rows] == [keeper, keeper, None]
    assert read(store, busy).supervisor_id == busy.supervisor_id


def test_a_keeper_adopts_what_is_paused(store: Store) -> None:
    keeper = new_id()
    row = inserted(store, bound=1, state=State.PAUSED)
    store.adopt([row.id], keeper)
    assert read(store, row).supervisor_id == keeper


def test_something_waits_once_a_row_is_due(store: Store) -> None:
    assert not store.has_waiting()
    inserted(store, run_after=clock.after(60))
    inserted(store, bound=1)
    inserted(store, state=State.PAUSED)
    assert not store.has_waiting()
    inserted(store, run_after=clock.after(-1))
    assert store.has_waiting()
