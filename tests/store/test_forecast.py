"""How long a status still runs, by its row and by the last runs of its task, on all three databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forktask import clock, forecast, registry
from forktask.forecast import Forecast
from forktask.limit import Limit
from forktask.rows import StatusRow
from forktask.states import State
from forktask.store import ALL_QUEUES, Store, lines
from tests.store.examples import a_claim, a_row, a_sample, an_end, inserted, read, running


def completed(store: Store, seconds: float, **values: Any) -> None:
    """Write a run that took so long."""
    end = values.pop("finished_at", clock.now())
    begin = end - timedelta(seconds=seconds)
    inserted(store, **{"state": State.COMPLETED, "started_at": begin, "finished_at": end, **values})


def under_way(seconds: float, **values: Any) -> tuple[StatusRow, datetime]:
    """Return a row that has run so long at the moment that is returned."""
    begin = clock.now()
    return a_row(**{"state": State.RUNNING, "started_at": begin, **values}), begin + timedelta(seconds=seconds)


def test_durations_are_those_of_the_last_completed_first_attempts_without_pauses(store: Store) -> None:
    now = clock.now()
    for age, seconds in ((3, 30.0), (1, 10.0), (2, 20.0)):
        completed(store, seconds, finished_at=now - timedelta(hours=age))
    completed(store, 500, active_seconds=5.5, finished_at=now)
    completed(store, 1, task="another")
    completed(store, 2, state=State.FAILED)
    completed(store, 3, attempt=2, max_attempts=2)
    assert store.durations(a_row().task, 3) == [5.5, 10.0, 20.0]


def test_what_the_supervisor_measured_is_kept_and_forgotten_by_the_next_attempt(store: Store) -> None:
    row = running(store, max_attempts=2)
    store.save([a_sample(row, percent=40.0, active_seconds=12.5, pace_low=0.01, pace_high=0.02)], [])
    found = read(store, row)
    assert (found.active_seconds, found.pace_low, found.pace_high) == (12.5, 0.01, 0.02)
    last = a_sample(row, percent=50.0, active_seconds=15.0)
    store.save([], [an_end(row, State.QUEUED, last=last, run_after=clock.now())])
    assert read(store, row).active_seconds == 15.0
    assert store.claim([a_claim(row.id)])
    again = read(store, row)
    assert (again.active_seconds, again.pace_low, again.pace_high) == (None, None, None)


def test_earlier_runs_speak_before_the_first_report(store: Store) -> None:
    for seconds in (55, 60, 65):
        completed(store, seconds)
    found = Forecast(store).remaining(*under_way(2))
    assert found is not None
    assert 30 <= found[0] <= 58 <= found[1] <= 120


def test_the_pace_speaks_without_earlier_runs(store: Store) -> None:
    begin = clock.now()
    row = a_row(
        state=State.RUNNING, started_at=begin, updated_at=begin + timedelta(seconds=20),
        percent=20.0, active_seconds=20.0, pace_low=0.009, pace_high=0.011,
    )  # fmt: skip
    found = Forecast(store).remaining(row, begin + timedelta(seconds=21))
    assert found is not None
    assert found[0] <= 79 <= found[1]


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.QUEUED},
        {"state": State.PAUSED},
        {"state": State.COMPLETED},
        {"cancel_requested_at": clock.now()},
        {"attempt": 2, "checkpoint": {"line": 7}},
    ],
)
def test_it_is_silent_where_nobody_knows(store: Store, values: dict[str, Any]) -> None:
    completed(store, 60)
    assert Forecast(store).remaining(*under_way(2)) is not None
    assert Forecast(store).remaining(*under_way(2, **values)) is None


def test_the_last_runs_are_asked_for_once_in_a_while(store: Store) -> None:
    forecast = Forecast(store)
    assert forecast.remaining(*under_way(2)) is None
    completed(store, 60)
    assert forecast.remaining(*under_way(2)) is None
    assert Forecast(store).remaining(*under_way(2)) is not None


def test_the_place_in_a_queue_tells_the_time_by_the_last_runs_of_those_before(store: Store) -> None:
    for seconds in (20, 30, 40):
        completed(store, seconds)
    for _ in range(2):
        running(store, queue="default")
    rows = [inserted(store, queue="default", due_at=clock.after(-number)) for number in (5, 4, 3)]
    assert [Forecast(store, lambda queue: 2).place(row) for row in rows] == [(1, 15.0), (2, 30.0), (3, 45.0)]
    assert [Forecast(store, lambda queue: 4).place(row) for row in rows] == [(1, 0.0), (2, 0.0), (3, 22.5)]
    inserted(store, queue="default", task="never ran", priority=90)
    assert Forecast(store, lambda queue: 2).place(rows[0]) == (2, None)


def test_a_batch_takes_the_time_of_one(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "batch_of", lambda name: 3)
    completed(store, 30)
    for _ in range(3):
        running(store, queue="default")
    rows = [inserted(store, queue="default") for _ in range(7)]
    times = [place.starts_in for row in rows if (place := Forecast(store, lambda queue: 1).place(row))]
    assert times == pytest.approx([15, 25, 35, 45, 55, 65, 75])
    times = [place.starts_in for row in rows if (place := Forecast(store, lambda queue: 3).place(row))]
    assert times == pytest.approx([0, 0, 0, 0, 0, 0, 25])


def test_a_queue_is_read_once_for_all_who_wait_in_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [inserted(store, queue="default") for _ in range(20)]
    of_store = Forecast(store)
    assert of_store.place(rows[0]) == (1, 0.0)
    monkeypatch.setattr(store.database, "rows", None)
    assert [place.number for row in rows if (place := of_store.place(row))] == list(range(1, 21))


@pytest.mark.parametrize("name", ["default", ALL_QUEUES])
def test_in_a_queue_that_is_held_up_nobody_is_the_next(store: Store, name: str) -> None:
    row = inserted(store, queue="default")
    store.pause_queue(name)
    assert Forecast(store).place(row) is None


def test_a_row_with_a_limit_has_its_place_among_those_of_its_key(store: Store) -> None:
    completed(store, 10)
    limited = [inserted(store, queue="default", limit_name="printer", line=":printer") for _ in range(2)]
    plain = inserted(store, queue="default")
    found = Forecast(store)
    assert [found.place(row) for row in limited] == [(1, None), (2, None)]  # nobody knows when a place is free
    assert found.place(plain) == (1, 0.0)


def test_a_limited_queue_moves_on_as_its_limit_says(store: Store) -> None:
    for _ in range(3):
        completed(store, 10)
    rows = [inserted(store, queue="default") for _ in range(4)]
    store.limit_queue("default", Limit(running=2))
    found = Forecast(store, lambda queue: 4)
    assert [found.place(row) for row in rows] == [(1, 0.0), (2, 0.0), (3, 10.0), (4, 15.0)]
    store.limit_queue("default", Limit(rate=2, per=60))
    found = Forecast(store, lambda queue: 4)
    assert [found.place(row) for row in rows] == [(1, 0.0), (2, 30.0), (3, 60.0), (4, 90.0)]


def test_beyond_a_number_only_that_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [inserted(store, queue="default", due_at=clock.after(-5 + number)) for number in range(4)]
    monkeypatch.setattr(lines, "MOST_AHEAD", 2)
    monkeypatch.setattr(forecast, "MOST_AHEAD", 2)
    told = [Forecast(store).place(row) for row in rows]
    assert [place and place.number for place in told] == [1, 2, 3, 3]


def test_what_waits_in_no_queue_or_for_a_later_time_has_no_place(store: Store) -> None:
    of_store = Forecast(store)
    assert of_store.place(inserted(store)) is None
    assert of_store.place(inserted(store, queue="default", run_after=clock.after(60))) is None
    assert of_store.place(running(store, queue="default")) is None
