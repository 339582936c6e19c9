"""Limits hold whoever claims, and are counted from the rows that live."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from forktask import clock
from forktask.limit import Limit, Room
from forktask.line import line_of
from forktask.rows import Claim, StatusRow
from forktask.states import State
from forktask.store import Store
from tests.store.examples import RUNNER, SUPERVISOR, a_row, a_scope, an_end, inserted, read

TASK = a_row().task


def waits(store: Store, name: str = "printer", queue: str | None = "default", **values: Any) -> StatusRow:
    """Return a row that waits under a limit."""
    given = {"queue": queue, "limit_name": name, "line": line_of(queue, name), **values}
    return inserted(store, **given)


def claimed(store: Store, *rows: StatusRow, queue: str | None = None) -> list[StatusRow]:
    """Claim rows under their limits, and that of their queue if it is named."""
    claims = [
        Claim(status_id=row.id, supervisor_id=SUPERVISOR, runner=RUNNER, limit_name=row.limit_name, limited_queue=queue)
        for row in rows
    ]
    found = {row.id: read(store, row) for row in store.claim(claims)}
    return [found[row.id] for row in rows if row.id in found]


def numbers(rows: list[StatusRow], found: list[StatusRow]) -> list[int]:
    """Return which of the rows were found."""
    ids = [row.id for row in rows]
    return [ids.index(row.id) for row in found]


def test_no_more_begin_than_a_limit_lets_through(store: Store) -> None:
    store.write_limits({"printer"}, Limit(running=2))
    rows = [waits(store) for _ in range(5)]
    first = claimed(store, *rows[:3])
    assert numbers(rows, first) == [0, 1]
    assert claimed(store, *rows[2:]) == []
    store.save([], [an_end(first[0])])
    assert numbers(rows, claimed(store, *rows[2:])) == [2]
    assert read(store, rows[3]).state is State.QUEUED


def test_a_paused_attempt_keeps_its_place_and_one_that_has_not_begun_has_none(store: Store) -> None:
    store.write_limits({"printer"}, Limit(running=1))
    first, second, third = (waits(store) for _ in range(3))
    claimed(store, first)
    assert store.set_paused(first.id, 1, True)
    assert claimed(store, second) == []
    store.save([], [an_end(first)])
    assert store.pause_waiting(second.id)
    assert numbers([third], claimed(store, third)) == [0]


@pytest.mark.parametrize("end", [State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST, State.QUEUED])
def test_a_place_is_free_however_the_row_has_left_it(store: Store, end: State) -> None:
    store.write_limits({"printer"}, Limit(running=1))
    first, second = waits(store, max_attempts=2), waits(store)
    (row,) = claimed(store, first)
    if end is State.LOST:
        assert store.mark_lost(row.id, row.attempt, "gone", error="It is gone.", reference="R")
    else:
        later = {"run_after": clock.after(60)} if end is State.QUEUED else {}
        store.save([], [an_end(row, end, **later)])
    assert len(claimed(store, second)) == 1


def test_limits_do_not_mind_each_other(store: Store) -> None:
    store.write_limits({"a", "b"}, Limit(running=1))
    rows = [waits(store, name) for name in "aabb"]
    assert numbers(rows, claimed(store, *rows)) == [0, 2]


def test_a_limit_of_which_nothing_is_said_is_none(store: Store) -> None:
    assert len(claimed(store, waits(store), waits(store))) == 2


def test_the_last_word_on_a_limit_counts(store: Store) -> None:
    rows = [waits(store) for _ in range(4)]
    store.write_limits({"printer"}, Limit(running=1))
    assert len(claimed(store, *rows)) == 1
    store.write_limits({"printer"}, Limit(running=3, rate=1000, per=1))
    store.write_limits({"printer"}, Limit(running=3))
    assert len(claimed(store, *rows[1:])) == 2


def test_a_limited_queue_counts_all_that_is_in_it(store: Store) -> None:
    store.limit_queue("default", Limit(running=3))
    store.write_limits({"printer"}, Limit(running=2))
    rows = [waits(store), waits(store), waits(store), *(inserted(store, queue="default") for _ in range(3))]
    assert numbers(rows, claimed(store, *rows, queue="default")) == [0, 1, 3]
    (queue,) = store.queue_rows()
    assert queue.limit is not None
    assert store.room_of_queue(queue.limit) == Room(0, None)


def test_a_limit_of_a_queue_and_its_pause_do_not_undo_each_other(store: Store) -> None:
    store.limit_queue("mail", Limit(running=3))
    store.pause_queue("mail")
    assert store.resume_queue("mail")
    (row,) = store.queue_rows()
    assert (row.running, row.paused_at) == (3, None)
    store.pause_queue("mail")
    store.limit_queue("mail", None)
    assert store.paused_queues() == {"mail"}
    assert store.resume_queue("mail")
    assert store.queue_rows() == []


def test_one_begins_at_a_time_as_the_rate_says(store: Store) -> None:
    store.write_limits({"printer"}, Limit(rate=2, per=7200))
    rows = [waits(store) for _ in range(3)]
    assert numbers(rows, claimed(store, *rows)) == [0]
    assert claimed(store, *rows[1:]) == []
    found = store.rooms()["printer"]
    assert found.places == 0
    assert 3500 < (found.opens_in or 0) <= 3600
    hour_is_over(store, "forktask_limit")
    assert numbers(rows, claimed(store, *rows[1:])) == [1]


def test_a_rate_of_a_queue_holds_too(store: Store) -> None:
    store.limit_queue("default", Limit(rate=1, per=3600))
    rows = [inserted(store, queue="default") for _ in range(3)]
    assert numbers(rows, claimed(store, *rows, queue="default")) == [0]
    (queue,) = store.queue_rows()
    assert queue.limit is not None
    assert 3500 < (store.room_of_queue(queue.limit).opens_in or 0) <= 3600
    hour_is_over(store, "forktask_queue")
    assert numbers(rows, claimed(store, *rows[1:], queue="default")) == [1]


@pytest.mark.parametrize("before", [Limit(rate=1, per=86_400), Limit(rate=1, per=60)])
def test_a_rate_is_not_held_up_by_the_one_before_it_nor_by_a_clock_that_was_set_back(
    store: Store, before: Limit
) -> None:
    store.write_limits({"printer"}, before)
    first, second, third = (waits(store) for _ in range(3))
    assert len(claimed(store, first)) == 1
    if before.per == 60:
        store.database.run(lambda cursor: cursor.execute(f"UPDATE forktask_limit SET next_at = {a_day_ahead(store)}"))
    else:
        store.write_limits({"printer"}, Limit(rate=1, per=60))
    assert numbers([second, third], claimed(store, second, third)) == [0]
    assert 50 < (store.rooms()["printer"].opens_in or 0) <= 60


def a_day_ahead(store: Store) -> str:
    later = {
        "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '1 day') || '000'",
        "postgresql": "clock_timestamp() + interval '1 day'",
    }
    return later.get(store.database.kind, "UTC_TIMESTAMP(6) + INTERVAL 1 DAY")


def hour_is_over(store: Store, table: str) -> None:
    now = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'", "postgresql": "clock_timestamp()"}
    expression = now.get(store.database.kind, "UTC_TIMESTAMP(6)")
    store.database.run(lambda cursor: cursor.execute(f"UPDATE {table} SET next_at = {expression}"))


def test_a_claim_that_comes_too_late_uses_up_no_rate(store: Store) -> None:
    store.write_limits({"printer"}, Limit(rate=1, per=3600))
    gone, there = waits(store), waits(store)
    assert store.cancel_waiting(gone.id)
    assert claimed(store, gone) == []
    assert len(claimed(store, there)) == 1


def test_who_waits_under_a_limit_is_seen_and_whether_there_is_room(store: Store) -> None:
    assert not store.waits_under_limit()
    store.write_limits({"a", "b", "c", "d"}, Limit(running=2))
    store.write_limits({"c"}, Limit(rate=5))
    running = [waits(store, "a") for _ in range(2)] + [waits(store, "d")]
    claimed(store, *running)
    assert not store.waits_under_limit()
    for name in "aaabcb":
        waits(store, name)
    assert store.waits_under_limit()
    assert store.rooms() == {"a": Room(0, None), "b": Room(2, None), "c": Room(1, 12.0)}
    assert list(store.rooms("a")) == ["b", "c"]


def test_what_waits_under_a_limit_is_found_in_its_line_alone(store: Store) -> None:
    rows = [
        waits(store),
        waits(store, queue="other"),
        waits(store, queue=None),
        waits(store, run_after=clock.after(60)),
    ]
    plain = inserted(store, queue="default")
    started = inserted(store)
    assert [row.id for row in store.due_in("default", [TASK], 9)] == [plain.id]
    assert [row.id for row in store.due_in("default", [TASK], 9, limit_name="printer")] == [rows[0].id]
    assert [row.id for row in store.due_in("other", [TASK], 9, limit_name="printer")] == [rows[1].id]
    assert [row.id for row in store.due(a_scope(), 9)] == [started.id]
    assert [row.id for row in store.due(a_scope(), 9, limit_name="printer")] == [rows[2].id]


class Counted:
    """Counts who is inside at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = self.all = 0

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            self.all += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *raised: object) -> None:
        with self.lock:
            self.inside -= 1


def test_many_who_claim_at_once_keep_within_a_limit(store: Store) -> None:
    store.write_limits({"printer"}, Limit(running=2))
    store.limit_queue("default", Limit(running=3))
    rows = [row for _ in range(20) for row in (waits(store), inserted(store, queue="default"))]
    printer, queue = Counted(), Counted()

    def run(row: StatusRow) -> None:
        with queue, printer if row.limit_name else nullcontext():
            read(store, row)  # so that it is there for a while
        store.save([], [an_end(row)])

    def work(number: int) -> None:
        dice = random.Random(number)
        while found := [row for row in rows if read(store, row).state is State.QUEUED]:
            for row in claimed(store, *dice.sample(found, min(3, len(found))), queue="default"):
                run(row)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert (printer.all, queue.all) == (20, 40)
    assert printer.most <= 2
    assert queue.most <= 3


def test_many_who_claim_at_once_keep_to_a_rate(store: Store) -> None:
    store.write_limits({"printer"}, Limit(rate=50, per=1))
    rows = [waits(store) for _ in range(30)]
    begin = clock.monotonic()

    def work(number: int) -> None:
        while found := [row for row in rows if read(store, row).state is State.QUEUED]:
            claimed(store, *found[number : number + 2])
            assert sum(read(store, row).state is State.RUNNING for row in rows) <= (clock.monotonic() - begin) * 50 + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, [0, 0, 0, 1]))
