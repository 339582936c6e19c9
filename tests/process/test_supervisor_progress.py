"""What a task reports is in its row while it runs."""

from __future__ import annotations

from functools import partial
from math import log10
from pathlib import Path
from typing import Any

import pytest

from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import ended, wait_for, wait_message


def seen(status: TaskStatus) -> tuple[Any, ...]:
    return (status.percent, status.message, status.done, status.total, status.unit)


def shows(expected: tuple[Any, ...], status: TaskStatus) -> bool:
    return seen(status) == expected


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


REPORTS: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"percent": 12.5, "message": "Début – 第一"}, (12.5, "Début – 第一", None, None, None)),
    ({"percent": 250}, (100.0, "Début – 第一", None, None, None)),
    ({"percent": -3, "message": "Back"}, (0.0, "Back", None, None, None)),
    ({"done": 3, "total": 4, "unit": "files"}, (75.0, "Back", 3, 4, "files")),
    ({"done": 5, "total": 4}, (100.0, "Back", 5, 4, "files")),
]


def test_each_report_reaches_the_row_while_the_task_runs(runtime_each: Runtime, go: Path) -> None:
    reports = [keywords for keywords, _ in REPORTS]
    status = zoo.report.initiate({"reports": reports, "path": str(go)})
    for number, (_, expected) in enumerate(REPORTS):
        wait_for(status, partial(shows, expected), f"{expected}")
        assert status.state is State.RUNNING
        Path(f"{go}.{number}").touch()
    assert ended(status).state is State.COMPLETED


def test_completion_forces_100_and_keeps_the_last_message(runtime_each: Runtime, go: Path) -> None:
    Path(f"{go}.0").touch()
    status = ended(zoo.report.initiate({"reports": [{"percent": 30, "message": "Half way"}], "path": str(go)}))
    assert (status.state, status.percent, status.message) == (State.COMPLETED, 100.0, "Half way")


def test_result_comes_back_as_json(runtime_each: Runtime) -> None:
    value = {"text": "äöü 😀 'quoted\" \\", "list": [1, 2.5, None, True], "nested": {"": {}}}
    status = ended(zoo.echo.initiate(value))
    assert (status.state, status.result, status.settings) == (State.COMPLETED, value, value)


def test_track_counts_what_is_done(runtime: Runtime) -> None:
    status = zoo.track.initiate({"count": 200})
    wait_for(status, lambda one: 0 < (one.done or 0) < 200)
    assert seen(status) == (pytest.approx((status.done or 0) / 2), "Counting", status.done, 200, "rows")
    assert seen(ended(status)) == (100.0, "Counting", 200, 200, "rows")


def test_track_without_a_total_shows_the_count_and_a_percent_that_is_no_share(runtime: Runtime) -> None:
    status = zoo.track.initiate({"count": 200, "sized": False})
    wait_for(status, lambda one: 0 < (one.done or 0) < 200)
    assert status.total is None
    assert status.percent == pytest.approx(20 * log10(1 + (status.done or 0)))
    assert (ended(status).percent, status.done) == (100.0, 200)


@pytest.mark.parametrize("thread", [False, True])
def test_each_item_is_in_the_row_when_the_pace_of_a_fast_loop_drops_at_once(
    runtime: Runtime, go: Path, thread: bool
) -> None:
    status = zoo.sudden.initiate({"path": str(go), "thread": thread})
    for number in range(40_000, 40_006):
        wait_for(status, lambda one, done=number: one.done == done, f"item {number}")  # type: ignore[misc]
        Path(f"{go}.{number}").touch()
    assert ended(status).done == 50_000


def test_phases_fill_their_part_of_the_bar(runtime: Runtime, go: Path) -> None:
    status = zoo.phases.initiate({"path": str(go)})
    wait_message(status, "Second")
    wait_for(status, lambda one: one.percent == 70)
    go.touch()
    assert ended(status).state is State.COMPLETED


def test_phases_are_in_the_row_with_those_to_come_while_it_runs(runtime_each: Runtime, go: Path) -> None:
    status = zoo.phases.initiate({"path": str(go)})
    later = {"name": "Third", "state": "later"}
    steps = [{"name": "First", "state": "done"}, {"name": "Second", "state": "now"}, later]
    wait_for(status, lambda one: one.phases == steps)
    assert status.state is State.RUNNING
    go.touch()
    assert ended(status).phases == [{"name": "First", "state": "done"}, {"name": "Second", "state": "done"}, later]


def test_warnings_and_checkpoint_are_in_the_row_while_it_runs(runtime_each: Runtime, go: Path) -> None:
    status = zoo.warn.initiate({"path": str(go)})
    wait_for(status, lambda one: one.warnings == ["Row 3 is empty.", "Row 7 is empty."])
    wait_for(status, lambda one: one.checkpoint == {"row": 7})
    assert status.state is State.RUNNING
    go.touch()
    assert ended(status).state is State.COMPLETED
    assert status.warnings == ["Row 3 is empty.", "Row 7 is empty."]


def test_a_tqdm_bar_in_the_task_moves_the_row(runtime: Runtime, go: Path) -> None:
    status = zoo.tqdm_bar.initiate({"path": str(go)})
    wait_for(status, lambda one: one.done == 50)
    assert seen(status) == (50.0, "Loading", 50, 100, "rows")
    go.touch()
    assert ended(status).state is State.COMPLETED
    assert status.log() == []
