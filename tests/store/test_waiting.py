"""Rows that only one process can start, and whether anything waits."""

from __future__ import annotations

from forktask import clock
from forktask.rows import new_id
from forktask.states import StartMethod, State
from forktask.store import Store
from tests.store.examples import inserted, read, running


def test_bound_rows_are_the_queued_ones_with_a_start_method(store: Store) -> None:
    first, second = (inserted(store, start_method=StartMethod.SPAWN) for _ in range(2))
    inserted(store)
    inserted(store, start_method=StartMethod.FORK, state=State.PAUSED)
    running(store, start_method=StartMethod.FORK)
    assert {row.id for row in store.bound()} == {first.id, second.id}


def test_a_keeper_adopts_what_still_waits(store: Store) -> None:
    keeper = new_id()
    rows = [inserted(store, start_method=StartMethod.SPAWN) for _ in range(3)]
    busy = running(store)
    store.adopt([row.id for row in (*rows[:2], busy)], keeper)
    store.adopt([], keeper)
    assert [read(store, row).supervisor_id for row in rows] == [keeper, keeper, None]
    assert read(store, busy).supervisor_id == busy.supervisor_id


def test_something_waits_once_a_row_is_due(store: Store) -> None:
    assert not store.has_waiting()
    inserted(store, run_after=clock.after(60))
    inserted(store, start_method=StartMethod.SPAWN)
    inserted(store, state=State.PAUSED)
    assert not store.has_waiting()
    inserted(store, run_after=clock.after(-1))
    assert store.has_waiting()
