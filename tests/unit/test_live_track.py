"""Loops that report by `track`."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from time import monotonic
from typing import Any

import pytest

from forktask.errors import TaskStopped
from forktask.live import LiveStatus
from forktask.progress import Report
from forktask.track import CHUNK_LIMIT, WRITE_SECONDS, Track
from tests.unit.lives import Watched, work

SLOW = WRITE_SECONDS * 1.1


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def status(watched: Watched) -> LiveStatus:
    return watched.status


def counts(watched: Watched) -> tuple[int | None, int | None]:
    return watched.report[2:4]


def test_the_loop_gets_every_item_in_order(status: LiveStatus) -> None:
    assert list(status.track(range(10_000))) == list(range(10_000))


def test_start_and_end_are_reported(watched: Watched) -> None:
    for _ in watched.status.track(range(1000), message="Importing", unit="rows"):
        pass
    assert Report(0, "Importing", 0, 1000, "rows") in watched.reports
    assert watched.report == Report(100, "Importing", 1000, 1000, "rows")


@pytest.mark.parametrize("length", [*range(70), 1000, 100_001])
def test_the_last_count_is_exact(watched: Watched, length: int) -> None:
    assert sum(1 for _ in watched.status.track(iter(range(length)))) == length
    assert counts(watched) == (length, length)


def test_false_items_are_items(watched: Watched) -> None:
    items: list[object] = [None, 0, "", [], False, 1]
    assert list(watched.status.track(items)) == items
    assert counts(watched) == (6, 6)


def test_a_loop_over_nothing_ends(watched: Watched) -> None:
    watched.status.update(7)
    assert list(watched.status.track([])) == []
    assert watched.report == Report(7, None, 0, 0)


@pytest.mark.parametrize("items", [range(10**30), iter([1, 2]), (number for number in range(3)), itertools.count()])
def test_items_without_a_length_have_an_unknown_total(watched: Watched, items: Iterable[int]) -> None:
    next(watched.status.track(items))
    assert watched.reports[0] == Report(0, None, 0)


def test_what_is_no_iterable_is_refused_at_once(status: LiveStatus) -> None:
    number: Any = 5
    with pytest.raises(TypeError, match="not iterable"):
        status.track(number)


@pytest.mark.parametrize(("total", "percent"), [(4, 100), (20, 50)])
def test_a_wrong_total_is_kept_beside_the_true_count(watched: Watched, total: int, percent: float) -> None:
    assert len(list(watched.status.track(range(10), total=total))) == 10
    assert watched.report == Report(percent, None, 10, total)


def test_unit_and_total_are_checked_at_once(status: LiveStatus) -> None:
    odd: Any = b"rows"
    with pytest.raises(TypeError, match="unit must be text"):
        status.track([], unit=odd)
    with pytest.raises(TypeError, match="total must be a number"):
        status.track([], total=odd)
    with pytest.raises(TypeError, match="message must be text"):
        status.track([], message=odd)


def test_each_slow_item_is_reported(watched: Watched) -> None:
    for number in watched.status.track(range(6)):
        assert counts(watched) == (number, 6)
        work(SLOW)


def test_reports_follow_when_the_pace_drops(watched: Watched) -> None:
    fast, slow = 5000, CHUNK_LIMIT + 40
    for number in watched.status.track(range(fast + slow)):
        if number >= fast:
            work(0.006)
        if number > fast + CHUNK_LIMIT:
            assert counts(watched)[0] in range(max(fast, number - 12), number + 1)
    assert counts(watched) == (fast + slow, fast + slow)


def test_no_chunk_is_longer_than_its_limit_whatever_the_pace_was(watched: Watched) -> None:
    loop = Track(watched.status._bar, range(100_000), None, None)
    lengths = []
    for count, chunk in enumerate(loop.chunks()):
        lengths.append(sum(1 for _ in chunk))
        if count % 50 == 0:
            work(0.001 * (count // 50 % 10))
    assert max(lengths) == CHUNK_LIMIT
    assert len(set(lengths)) > 6, "the pace never changed"


def test_fast_loops_are_not_reported_item_by_item(watched: Watched) -> None:
    for _ in watched.status.track(range(200_000)):
        pass
    assert len(watched.reports) < 2000


def test_slow_loops_are_not_reported_item_by_item(watched: Watched) -> None:
    began = monotonic()
    for _ in watched.status.track(range(60)):
        work(0.006)
    assert len(watched.reports) < 4 + (monotonic() - began) / WRITE_SECONDS


def test_a_slow_loop_stops_soon_after_it_was_cancelled(watched: Watched) -> None:
    seen = []

    def loop() -> None:
        for number in watched.status.track(itertools.count()):
            seen.append(number)
            work(0.006)
            if number == 5:
                watched.page.request_cancel()

    with pytest.raises(TaskStopped):
        loop()
    assert seen[-1] == 5


def test_an_endless_fast_loop_stops_when_it_is_cancelled(watched: Watched) -> None:
    def loop() -> None:
        for _ in watched.status.track(itertools.repeat("x")):
            if len(watched.reports) > 2:
                watched.page.request_cancel()

    with pytest.raises(TaskStopped):
        loop()


def test_a_loop_that_is_left_reports_where_it_was(watched: Watched) -> None:
    for number in watched.status.track(range(100), unit="rows"):
        if number == 41:
            break
    assert watched.report == Report(42, None, 42, 100, "rows")


def test_the_loop_after_one_that_was_left_reports_as_well(watched: Watched) -> None:
    for _ in watched.status.track(range(100)):
        break
    for _ in watched.status.track(range(7)):
        pass
    assert counts(watched) == (7, 7)


def test_an_error_in_the_loop_leaves_the_count(watched: Watched) -> None:
    with pytest.raises(ZeroDivisionError):
        [1 / (41 - number) for number in watched.status.track(range(100))]
    assert counts(watched) == (42, 100)


def test_an_error_of_the_items_reaches_the_loop(watched: Watched) -> None:
    def items() -> Iterator[int]:
        yield from range(41)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        for _ in watched.status.track(items(), total=100):
            pass
    assert counts(watched) == (41, 100)


def test_items_are_asked_for_only_when_the_loop_wants_them(status: LiveStatus) -> None:
    given: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            given.append(number)
            yield number

    for number in status.track(items()):
        assert given[-1] == number


def test_items_that_have_ended_are_not_asked_again(status: LiveStatus) -> None:
    answers = iter([*range(5), StopIteration, AssertionError("asked again")])

    class Ending(Iterator[int]):
        def __next__(self) -> int:
            answer = next(answers)
            if isinstance(answer, int):
                return answer
            raise answer

    assert list(status.track(Ending())) == list(range(5))


def test_a_message_of_the_loop_stays(watched: Watched) -> None:
    for number in watched.status.track(range(3)):
        watched.status.update(message=f"row {number}")
        work(SLOW)
    assert watched.report == Report(100, "row 2", 3, 3)


def test_a_loop_in_a_loop_moves_the_bar_within_the_outer_item(watched: Watched) -> None:
    for file in watched.status.track(["a", "b"], unit="files"):
        for row in watched.status.track(range(4), message=f"Reading {file}"):
            if (file, row) == ("b", 2):
                assert watched.report == Report(75, "Reading b", 1, 2, "files")
            work(SLOW)
    assert watched.report == Report(100, "Reading b", 2, 2, "files")


def test_a_loop_of_unknown_length_in_a_loop_only_watches_for_cancel(watched: Watched) -> None:
    for _ in watched.status.track(range(2)):
        for _ in watched.status.track(itertools.repeat("x", 5)):
            assert watched.report.total == 2
        watched.page.request_cancel()
        with pytest.raises(TaskStopped):
            next(watched.status.track(itertools.repeat("x", 5)))
        break


def test_loops_fed_by_each_other_never_go_back(watched: Watched) -> None:
    inner = watched.status.track(range(500))
    for _ in watched.status.track((number for number in inner), total=500):
        work(0.0002)
    percents = [report.percent or 0 for report in watched.reports]
    assert percents == sorted(percents)
    assert watched.report.percent == 100


def test_counts_are_exact_whatever_the_pace(watched: Watched) -> None:
    chance = random.Random(4711)
    for length in (5, 50, 500):
        for number in watched.status.track(range(length)):
            if chance.random() < 0.02:
                work(chance.random() / 500)
            if chance.random() < 0.3 / length:
                watched.status.update(message="odd")
            assert (counts(watched)[0] or 0) <= number
        assert counts(watched) == (length, length)
