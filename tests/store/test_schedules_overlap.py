"""What was due while nobody looked, and what is due while the run before has not ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forktask.states import State
from forktask.store import Store
from tests.store.examples import an_end, running
from tests.store.recurring import (
    MINUTE,
    PERIOD,
    TASK,
    entered,
    finish,
    found,
    look,
    passed,
    runs,
    said,
)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"missed": "none"}, []),
        ({"missed": "last"}, [5]),
        ({"missed": "all", "overlap": "parallel"}, [1, 2, 3, 4, 5]),
        ({"missed": "all", "overlap": "queue"}, [1]),
    ],
)
def test_an_outage_of_hours(store: Store, rule: dict[str, Any], expected: list[int]) -> None:
    row = passed(store, entered(store, said(**rule)), 330 * MINUTE)
    look(store)
    assert [run.run_after for run in runs(store)] == [row.anchor_at + number * 60 * MINUTE for number in expected]
    after = found(store)
    assert after.due_at == row.anchor_at + (2 if rule.get("overlap") == "queue" else 6) * 60 * MINUTE
    assert after.skipped == (0 if rule["missed"] == "all" else 5 - len(expected))


def test_an_outage_of_years_is_made_up_for_a_hundred_times(store: Store) -> None:
    row = passed(store, entered(store, said(every=1, missed="all", overlap="parallel")), timedelta(days=3650))
    look(store)
    times = [run.run_after for run in runs(store)]
    assert len(times) == 100
    assert times[-1] is not None
    assert times[0] == times[-1] - timedelta(seconds=99)
    due = found(store).due_at
    assert due is not None
    assert due > row.anchor_at + timedelta(days=3650) - timedelta(seconds=1)


def test_a_run_that_is_due_while_the_one_before_lives_is_skipped(store: Store) -> None:
    passed(store, entered(store, said()), 61 * MINUTE)
    look(store)
    (first,) = runs(store)
    row = passed(store, found(store), PERIOD)
    look(store)
    assert runs(store) == [first]
    assert found(store).skipped == 1
    passed(store, found(store), PERIOD)
    look(store)
    assert found(store).skipped == 2
    finish(store, first)
    passed(store, found(store), PERIOD)
    look(store)
    assert {run.state for run in runs(store)} == {State.CANCELLED, State.QUEUED}
    assert row.due_at is not None


def test_a_run_that_is_due_while_the_one_before_lives_waits_for_it(store: Store) -> None:
    passed(store, entered(store, said(overlap="queue", missed="none")), PERIOD)
    look(store)
    (first,) = runs(store)
    for _ in range(3):
        passed(store, found(store), PERIOD)
        look(store)
    assert runs(store) == [first]
    held = found(store)
    assert held.held_at is not None
    finish(store, first)
    look(store)
    assert len(runs(store)) == 2, "of those that waited the last one runs"
    assert (found(store).held_at, found(store).skipped) == (None, 2)


def test_runs_that_wait_for_each_other_all_come_in_turn(store: Store) -> None:
    row = passed(store, entered(store, said(overlap="queue", missed="all")), 190 * MINUTE)
    for count in (1, 2, 3):
        look(store)
        look(store)
        assert [run.run_after for run in runs(store)] == [row.anchor_at + (n + 1) * 60 * MINUTE for n in range(count)]
        finish(store, runs(store)[-1])
    look(store)
    assert len(runs(store)) == 3
    assert found(store).held_at is None


def test_runs_in_parallel_wait_for_nothing(store: Store) -> None:
    passed(store, entered(store, said(overlap="parallel")), 61 * MINUTE)
    look(store)
    passed(store, found(store), PERIOD)
    look(store)
    assert len(runs(store)) == 2


def test_the_end_of_a_run_that_was_retried_counts_as_live(store: Store) -> None:
    row = running(store, task=TASK)
    assert store.is_live(row.id)
    store.save([], [an_end(row)])
    assert not store.is_live(row.id)
    assert not store.is_live(None)
