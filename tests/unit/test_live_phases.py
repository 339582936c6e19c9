"""Parts of the bar: `phase`."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest

from forktask.errors import TaskStopped
from forktask.progress import Report
from forktask.task import task
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


def steps(watched: Watched) -> list[tuple[str, str]]:
    """Return the steps that were told last."""
    told = [value for word, value in watched.sent if word == "phases"]
    return [(phase["name"], phase["state"]) for phase in told[-1]] if told else []


def test_phases_are_told_as_steps_in_the_order_in_which_they_begin(watched: Watched) -> None:
    assert steps(watched) == []
    with watched.status.phase("Reading", 40):
        assert steps(watched) == [("Reading", "now")]
        with watched.status.phase("A part of it", 10):
            assert steps(watched) == [("Reading", "now")]
    assert steps(watched) == [("Reading", "done")]
    with watched.status.phase("Writing", 40), watched.status.phase("Its only part", 100):
        assert steps(watched) == [("Reading", "done"), ("Writing", "now")]


def test_declared_phases_are_told_from_the_start_and_go_when_they_are_passed_over() -> None:
    watched = Watched(phases=("Reading", "Mending", "Summary"))
    assert steps(watched) == [("Reading", "later"), ("Mending", "later"), ("Summary", "later")]
    with watched.status.phase("Unpacking", 10):
        pass
    assert steps(watched)[:2] == [("Unpacking", "done"), ("Reading", "later")]
    with watched.status.phase("Mending", 10):
        assert steps(watched) == [("Unpacking", "done"), ("Mending", "now"), ("Summary", "later")]


def test_a_phase_that_is_left_by_an_error_is_not_done_and_the_next_is_a_step_again(watched: Watched) -> None:
    with pytest.raises(OSError, match="disk"), watched.status.phase("Reading", 40):
        raise OSError("disk")
    assert steps(watched) == [("Reading", "now")]
    with watched.status.phase("Reading a copy", 40):
        assert steps(watched) == [("Reading", "done"), ("Reading a copy", "now")]


def test_twenty_phases_are_steps_and_a_flood_is_not_sent(watched: Watched) -> None:
    for number in range(1000):
        with watched.status.phase(f"Part {number}", 0.1):
            pass
    assert steps(watched) == [(f"Part {number}", "done") for number in range(20)]
    assert len(watched.sent) == 40


def test_names_of_phases_are_cut_and_what_databases_refuse_is_replaced(watched: Watched) -> None:
    with watched.status.phase("\0" + "x" * 500, 10), watched.status.phase("\ud800", 10):
        pass
    with watched.status.phase(" ", 10):
        pass
    assert steps(watched) == [("\N{REPLACEMENT CHARACTER}" + "x" * 98 + "…", "done")]
    odd: Any = None
    with pytest.raises(TypeError, match="name must be text"), watched.status.phase(odd, 10):
        pass


@pytest.mark.parametrize("declared", ["Reading", [3], [""], ["x"] * 21])
def test_phases_that_are_no_names_are_refused_when_the_task_is_defined(declared: Any) -> None:
    with pytest.raises(TypeError, match="phases"):
        task(phases=declared)(lambda status: None)
