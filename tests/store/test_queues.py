"""Queues: their order, what is held up, and how many come before one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from forktask import clock
from forktask.rows import StatusRow
from forktask.states import State
from forktask.store import Store
from tests.store.examples import a_row, an_end, inserted, read, running

TASK = a_row().task


def due(store: Store, queue: str = "default", limit: int = 10) -> list[UUID]:
    store.bring_in_line()
    return [found.id for found in store.due_in(queue, [TASK], limit)]


def waits(store: Store, seconds: float = 0.0, priority: int = 50) -> StatusRow:
    """Return a row that is due since so many seconds; negative: that will be."""
    return inserted(store, queue="default", priority=priority, run_after=clock.after(-seconds))


def test_a_queue_gives_the_highest_priority_first_then_who_is_due_longest_then_the_oldest(store: Store) -> None:
    late, early, urgent = waits(store, 1), waits(store, 5), waits(store, 0, priority=90)
    same = clock.after(-3)
    twins = [inserted(store, queue="default", run_after=same, due_at=same) for _ in range(3)]
    inserted(store, queue="other")
    inserted(store)  # initiated
    waits(store, -60)
    inserted(store, queue="default", task="other")
    inserted(store, queue="default", bound=1)
    inserted(store, queue="default", state=State.PAUSED)
    order = [urgent.id, early.id, *sorted(twin.id for twin in twins), late.id]
    assert due(store) == order
    assert due(store, limit=2) == order[:2]
    assert store.due_in("default", [], 10) == store.due_in("default", [TASK], 0) == []


def test_what_is_run_again_takes_its_place_by_the_time_of_its_next_attempt(store: Store) -> None:
    first = running(store, queue="default", max_attempts=3, created_at=clock.after(-100), due_at=clock.after(-100))
    second = waits(store, 1)
    store.save([], [an_end(first, State.QUEUED, run_after=clock.now())])
    assert due(store) == [second.id, first.id]
    assert read(store, first).due_at - read(store, second).due_at > timedelta(seconds=0.5)


def test_a_queue_is_held_up_until_it_is_told_to_go_on(store: Store) -> None:
    assert store.paused_queues() == frozenset()
    store.pause_queue("reports")
    store.pause_queue("reports")
    assert store.paused_queues() == {"reports"}
    assert store.resume_queue("reports")
    assert not store.resume_queue("reports")
    assert store.paused_queues() == frozenset()


def test_queues_in_which_something_waits_are_known(store: Store) -> None:
    inserted(store)
    inserted(store, queue="empty", state=State.COMPLETED)
    assert store.waiting_queues() == []
    waits(store, -60)
    inserted(store, queue="other", task="unknown")
    assert sorted(store.waiting_queues()) == ["default", "other"]
    assert store.awaits(["default"], [TASK])
    assert not store.awaits(["other"], [TASK])
    assert not store.awaits([], [TASK])
    assert not store.awaits(["default"], [])


def test_a_line_is_told_in_the_order_in_which_it_is_taken(store: Store) -> None:
    rows = [waits(store, 5), waits(store, 4), waits(store, 3, priority=60)]
    waits(store, -60, priority=90)
    inserted(store, queue="other", priority=90)
    running(store, queue="default")
    store.bring_in_line()
    assert store.line_of("default") == [(rows[2].id, TASK), (rows[0].id, TASK), (rows[1].id, TASK)]
    assert store.running_in("default") == {TASK: 1}
    assert store.running_in("other") == {}


def test_what_became_due_during_a_look_is_not_overlooked_by_the_one_who_rests(store: Store) -> None:
    task = waits(store, seconds=0.5).task
    assert store.next_due(["default"], [task], since=0.0) is None
    missed = store.next_due(["default"], [task], since=60.0)
    assert missed is not None
    assert -60 < missed < 0
    inserted(store, queue="default", run_after=clock.after(30))
    coming = store.next_due(["default"], [task], since=0.0)
    assert coming is not None
    assert 20 < coming < 31
