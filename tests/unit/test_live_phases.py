"""Parts of the bar: `phase`."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from forktask.errors import TaskStopped
from forktask.progress import Report
from tests.unit.lives import Watched


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_reports_in_a_phase_fill_its_part_of_the_bar(watched: Watched) -> None:
    with watched.status.phase("Reading", 40):
        assert watched.report == Report(0, "Reading")
        watched.status.update(50)
        assert watched.report == Report(20, "Reading")
    assert watched.report == Report(40, "Reading")
    with watched.status.phase("Writing", 60):
        assert watched.report == Report(40, "Writing")
        watched.status.update(50, "Half of it")
        assert watched.report == Report(70, "Half of it")
    assert watched.report.percent == 100


def test_a_phase_begins_where_the_bar_stands(watched: Watched) -> None:
    watched.status.update(10)
    with watched.status.phase("Reading", 50):
        watched.status.update(50)
        assert watched.report.percent == 35
    assert watched.report.percent == 60


def test_phases_nest(watched: Watched) -> None:
    with watched.status.phase("All", 50):
        with watched.status.phase("First half", 50):
            watched.status.update(50)
            assert watched.report == Report(12.5, "First half")
        assert watched.report.percent == 25
        with watched.status.phase("Second half", 50):
            watched.status.update(100)
            assert watched.report == Report(50, "Second half")
    watched.status.update(60)
    assert watched.report.percent == 60


def test_a_loop_in_a_phase_fills_the_phase(watched: Watched) -> None:
    with watched.status.phase("Reading", 40):
        for _ in watched.status.track(range(10), unit="rows"):
            pass
        assert watched.report == Report(40, "Reading", 10, 10, "rows")


def test_the_next_phase_takes_back_the_counts_of_the_one_before(watched: Watched) -> None:
    with watched.status.phase("Reading", 40):
        watched.status.update(done=5, total=10, unit="rows")
    with watched.status.phase("Writing", 60):
        assert watched.report == Report(40, "Writing")


def test_an_unknown_percent_in_a_phase_ends_at_its_end(watched: Watched) -> None:
    with watched.status.phase("Reading", 40):
        watched.status.update(math.nan)
        assert watched.report.percent is None
    assert watched.report.percent == 40


def test_phases_of_more_than_the_whole_end_at_the_whole(watched: Watched) -> None:
    for weight in (50, 60, 1000):
        with watched.status.phase("Much", weight):
            watched.status.update(99)
            assert (watched.report.percent or 0) <= 100
    assert watched.report.percent == 100


def test_a_phase_that_fails_leaves_the_bar_where_it_was(watched: Watched) -> None:
    with pytest.raises(ZeroDivisionError), watched.status.phase("Reading", 40):
        watched.status.update(1 / 0)
    assert watched.report.percent == 0
    watched.status.update(90)
    assert watched.report.percent == 90


def test_a_phase_that_is_cancelled_at_its_begin_changes_no_range(watched: Watched) -> None:
    watched.page.request_cancel()
    with pytest.raises(TaskStopped), watched.status.phase("Reading", 40):
        pytest.fail("the block must not run")
    watched.page.clear()
    watched.status.update(90)
    assert watched.report.percent == 90


@pytest.mark.parametrize("weight", [-1, math.nan, math.inf])
def test_a_weight_that_is_no_share_is_refused(watched: Watched, weight: float) -> None:
    with pytest.raises(ValueError, match="weight is"), watched.status.phase("Reading", weight):
        pytest.fail("the block must not run")


def test_a_weight_that_is_no_number_is_refused(watched: Watched) -> None:
    odd: Any = "40"
    with pytest.raises(TypeError, match="weight must be a number, not str"), watched.status.phase("Reading", odd):
        pytest.fail("the block must not run")


def test_the_bar_never_goes_back_through_phases_in_phases() -> None:
    chance = random.Random(4711)
    watched = Watched()

    def fill(depth: int) -> None:
        shares = [chance.random() for _ in range(chance.randrange(1, 5))]
        for share in shares:
            with watched.status.phase("Part", 100 * share / sum(shares)):
                if depth < 4:
                    fill(depth + 1)

    fill(0)
    percents = [report.percent or 0 for report in watched.reports]
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(percents))
    assert len(percents) > 100
    assert max(percents) <= 100
    assert percents[-1] == pytest.approx(100)
