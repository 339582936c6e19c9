"""What follows when a recurring task is due; a table of rules, with no table and no clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forktask.schedule.changes import Source, new_row
from forktask.schedule.declaration import declaration_of
from forktask.schedule.planning import MOST, Plan, begins, plan, recent
from forktask.schedule.rules import Every
from forktask.schedule.table import ScheduleRow

NOON = datetime.fromisoformat("2026-01-01T12:00:00+00:00")


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def a_row(**rule: Any) -> ScheduleRow:
    """Return the row of a task that was declared at noon, by default for each minute."""
    return new_row(
        declaration_of("shop.tidy", {"every": 60} | rule, settings={}, options={"queue": "q"}), Source(), NOON
    )


def seconds(times: Any) -> list[float]:
    return [(time - NOON).total_seconds() for time in times]


@pytest.mark.parametrize(
    ("overlap", "missed", "late", "is_live", "expected"),
    [
        ("skip", "last", 60.5, False, ([60], 120, False, 0)),
        ("skip", "last", 60.5, True, ([], 120, False, 1)),
        ("skip", "last", 200, False, ([180], 240, False, 2)),
        ("skip", "last", 330, True, ([], 360, False, 5)),
        ("skip", "none", 119.5, False, ([60], 120, False, 0)),
        ("parallel", "last", 200, True, ([180], 240, False, 2)),
        ("parallel", "all", 200, True, ([60, 120, 180], 240, False, 0)),
        ("queue", "last", 200, True, ([], 60, True, 0)),
        ("queue", "last", 200, False, ([180], 240, False, 2)),
        ("queue", "all", 200, False, ([60], 120, True, 0)),
        ("queue", "all", 60.5, False, ([60], 120, False, 0)),
    ],
)
def test_each_minute(
    overlap: str, missed: str, late: float, is_live: bool, expected: tuple[list[int], int, bool, int]
) -> None:
    what = plan(a_row(overlap=overlap, missed=missed), after(late), is_live=is_live)
    assert what.due_at is not None
    assert (seconds(what.runs), *seconds([what.due_at]), what.held, what.skipped) == expected


@pytest.mark.parametrize(("late", "runs"), [(59, [3600]), (61, [])])
def test_a_run_is_on_time_for_a_minute(late: float, runs: list[int]) -> None:
    what = plan(a_row(every=3600, missed="none"), after(3600 + late), is_live=False)
    assert seconds(what.runs) == runs
    assert what.skipped == 1 - len(runs)


def test_a_run_that_waited_is_not_missed() -> None:
    row = a_row(every=3600, missed="none", overlap="queue")
    assert plan(row, after(5000), is_live=False).runs == ()
    assert seconds(plan(row._replace(held_at=after(3600)), after(5000), is_live=False).runs) == [3600]


def test_those_that_are_on_time_in_one_look_all_run_in_parallel() -> None:
    what = plan(a_row(every=1, overlap="parallel"), after(3.2), is_live=True)
    assert seconds(what.runs) == [1, 2, 3]
    assert seconds(plan(a_row(every=1), after(3.2), is_live=False).runs) == [3]
    late = plan(a_row(every=1, overlap="parallel"), after(100.5), is_live=False)
    assert seconds(late.runs) == [96, 97, 98, 99, 100], "five seconds is the patience of short intervals"


def test_nothing_is_planned_before_its_moment() -> None:
    row = a_row(jitter=50)
    assert row.next_at is not None
    early = plan(row, row.next_at - timedelta(microseconds=1), is_live=False)
    assert early == Plan(runs=(), due_at=after(60), next_at=row.next_at)
    assert seconds(plan(row, row.next_at, is_live=False).runs) == [60]


def test_jitter_is_spread_and_below_its_limit() -> None:
    row = a_row(jitter=50)
    late = [(begins(row, due) - due).total_seconds() for due in (after(60 * number) for number in range(200))]
    assert 0 <= min(late) < 5
    assert 45 < max(late) < 50
    assert 20 < sum(late) / len(late) < 30


def test_the_last_ones_are_found_however_many_there_are() -> None:
    rule = Every(1, NOON)
    found = recent(rule, after(1), after(10**8))
    assert seconds(found) == [10**8 - MOST + 1 + number for number in range(MOST)]
    assert seconds(recent(rule, after(1), after(3.5))) == [1, 2, 3]
    assert recent(rule, after(10), after(9)) == []
