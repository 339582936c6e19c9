"""What a task reports by `update`, `warn` and `checkpoint`."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import uuid4

import pytest

from forktask.errors import SettingsError, TaskStopped
from forktask.live import WARNING_LENGTH, WARNING_LIMIT, LiveStatus
from forktask.progress import Page, Report
from forktask.track import derived_percent
from tests.unit.lives import Watched


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def status(watched: Watched) -> LiveStatus:
    return watched.status


def test_it_holds_what_the_runner_knows() -> None:
    status_id = uuid4()
    status = LiveStatus(
        page=Page.anonymous(),
        send=lambda word, value: None,
        status_id=status_id,
        settings={"path": "x.csv"},
        attempt=2,
        resumed_from=[17],
        task="shop.Import",
    )
    assert (status.id, status.settings, status.attempt, status.resumed_from) == (status_id, {"path": "x.csv"}, 2, [17])
    assert status.log is logging.getLogger("forktask.task.shop.Import")


def test_percent_and_message_are_reported(watched: Watched) -> None:
    watched.status.update(12.5, "Reading")
    assert watched.report == Report(12.5, "Reading")
    assert watched.reports == [Report(12.5, "Reading")]


def test_what_is_left_out_stays(watched: Watched) -> None:
    watched.status.update(12.5, "Reading", done=1, total=8, unit="rows")
    watched.status.update(message="Still reading")
    assert watched.report == Report(12.5, "Still reading", 1, 8, "rows")
    watched.status.update(done=2)
    assert watched.report == Report(25, "Still reading", 2, 8, "rows")
    watched.status.update()
    assert watched.report == Report(25, "Still reading", 2, 8, "rows")


def test_an_empty_message_takes_the_message_back(watched: Watched) -> None:
    watched.status.update(1, "Reading")
    watched.status.update(2, "")
    assert watched.report.message == ""


def test_percent_alone_takes_back_counts_that_no_longer_hold(watched: Watched) -> None:
    watched.status.update(done=200, total=200, unit="rows")
    watched.status.update(95, "Building the summary")
    assert watched.report == Report(95, "Building the summary")


@pytest.mark.parametrize(
    ("given", "shown"),
    [(-5, 0), (0, 0), (0.004, 0.004), (100, 100), (100.1, 100), (10**400, 100), (-(10**400), 0), (True, 1)],
)
def test_percent_is_clamped(watched: Watched, given: float, shown: float) -> None:
    watched.status.update(given)
    assert watched.report.percent == pytest.approx(shown)


@pytest.mark.parametrize("given", [math.nan, math.inf, -math.inf])
def test_percent_that_is_no_number_is_unknown(watched: Watched, given: float) -> None:
    watched.status.update(50)
    watched.status.update(given, "Who knows")
    assert watched.report == Report(None, "Who knows")


@pytest.mark.parametrize("given", [Decimal("12.5"), Fraction(25, 2)])
def test_numbers_of_other_kinds_are_taken(watched: Watched, given: Any) -> None:
    watched.status.update(given, done=given, total=given)
    assert watched.report == Report(12.5, None, 12, 12)


@pytest.mark.parametrize("name", ["percent", "done", "total"])
@pytest.mark.parametrize("given", ["50", b"50", [50], object(), 1j])
def test_what_is_no_number_is_refused_by_name(watched: Watched, name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be a number, not {type(given).__name__}$"):
        watched.status.update(**{name: given})
    assert watched.page.read() is None


@pytest.mark.parametrize("name", ["message", "unit"])
@pytest.mark.parametrize("given", [b"rows", 5, ["rows"], ValueError("x")])
def test_what_is_no_text_is_refused_by_name(watched: Watched, name: str, given: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} must be text, not {type(given).__name__}$"):
        watched.status.update(**{name: given})
    assert watched.page.read() is None


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(0, 8, 0), (1, 8, 12.5), (8, 8, 100), (9, 8, 100), (-1, 8, 0), (10**400, 2 * 10**400, 50), (10**400, 8, 100)],
)
def test_percent_follows_from_counts(watched: Watched, done: int, total: int, percent: float) -> None:
    watched.status.update(done=done, total=total)
    assert watched.report.percent == pytest.approx(percent)


def test_counts_beyond_their_total_are_kept_as_they_are(watched: Watched) -> None:
    watched.status.update(done=12, total=8)
    assert watched.report[2:4] == (12, 8)


@pytest.mark.parametrize("total", [0, -1])
def test_a_total_of_nothing_gives_no_percent(watched: Watched, total: int) -> None:
    watched.status.update(40)
    watched.status.update(done=3, total=total)
    assert watched.report == Report(40, None, 3, total)


def test_a_total_alone_gives_no_percent(watched: Watched) -> None:
    watched.status.update(total=8)
    assert watched.report == Report(None, None, None, 8)


def test_percent_wins_over_counts(watched: Watched) -> None:
    watched.status.update(70, done=1, total=8)
    assert watched.report == Report(70, None, 1, 8)


@pytest.mark.parametrize(("done", "percent"), [(0, 0), (9, 20), (99, 40), (99_999, 95), (10**18, 95), (-5, 0)])
def test_percent_of_an_unknown_total_follows_the_logarithm(watched: Watched, done: int, percent: float) -> None:
    watched.status.update(done=done)
    assert watched.report.percent == pytest.approx(percent)
    assert watched.report[1:] == (None, done, None, None)


def test_an_infinite_total_is_unknown(watched: Watched) -> None:
    infinite: Any = math.inf
    watched.status.update(done=9, total=18)
    watched.status.update(total=infinite)
    assert watched.report.percent == pytest.approx(20)
    assert watched.report[1:] == (None, 9, None, None)


def test_percent_is_within_bounds_whatever_the_counts() -> None:
    chance = random.Random(4711)
    for _ in range(20_000):
        done, total = (chance.choice((-1, 1)) * chance.randrange(10 ** chance.randrange(1, 25)) for _ in range(2))
        percent = derived_percent(done, chance.choice((total, None)))
        assert percent is None or 0 <= percent <= 100


def test_nothing_done_yet_gives_no_percent() -> None:
    assert derived_percent(None, 8) is None
    assert derived_percent(None, None) is None


@pytest.mark.parametrize("verb", ["update", "track", "phase", "warn", "checkpoint"])
def test_each_report_stops_the_task_that_was_cancelled(watched: Watched, verb: str) -> None:
    status = watched.status

    def track() -> None:
        for _ in status.track(range(10)):
            pytest.fail("the block must not run")

    def phase() -> None:
        with status.phase("Part", 50):
            pytest.fail("the block must not run")

    calls: dict[str, Callable[[], None]] = {
        "update": lambda: status.update(1),
        "track": track,
        "phase": phase,
        "warn": lambda: status.warn("Odd"),
        "checkpoint": lambda: status.checkpoint(1),
    }
    watched.page.request_cancel()
    with pytest.raises(TaskStopped):
        calls[verb]()
    assert not watched.sent


def test_being_stopped_passes_except_exception(watched: Watched) -> None:
    watched.page.request_cancel()
    with pytest.raises(TaskStopped), suppress(Exception):
        watched.status.update(1)


def test_a_warning_is_sent(watched: Watched) -> None:
    watched.status.warn("Row 17 has no price")
    assert watched.sent == [("warning", "Row 17 has no price")]


def test_a_long_warning_is_cut(watched: Watched) -> None:
    watched.status.warn("x" * WARNING_LENGTH)
    watched.status.warn("x" * (WARNING_LENGTH + 1))
    assert [text for _, text in watched.sent] == ["x" * WARNING_LENGTH, "x" * (WARNING_LENGTH - 1) + "…"]


def test_what_databases_refuse_is_replaced_in_a_warning(watched: Watched) -> None:
    watched.status.warn("a\0b\ud800")
    assert watched.sent == [("warning", "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}")]


def test_a_warning_that_is_no_text_is_refused(watched: Watched) -> None:
    odd: Any = ValueError("odd")
    with pytest.raises(TypeError, match="text must be text, not ValueError"):
        watched.status.warn(odd)


def kept(watched: Watched) -> list[str]:
    """Keep warnings as the supervisor does."""
    warnings: list[str] = []
    for _, text in watched.sent:
        warnings[WARNING_LIMIT - 1 :] = [text]
    return warnings


def test_as_many_warnings_as_there_is_room_for_are_kept(watched: Watched) -> None:
    for number in range(WARNING_LIMIT):
        watched.status.warn(f"warning {number}")
    assert kept(watched) == [f"warning {number}" for number in range(WARNING_LIMIT)]


def test_the_last_warning_counts_those_that_were_not_kept(watched: Watched) -> None:
    for number in range(150):
        watched.status.warn(f"warning {number}")
    assert len(kept(watched)) == WARNING_LIMIT
    assert kept(watched)[-2:] == ["warning 98", "51 more warnings were not kept."]


def test_a_flood_of_warnings_is_not_sent_one_by_one(watched: Watched) -> None:
    for number in range(50_000):
        watched.status.warn(f"warning {number}")
    assert len(watched.sent) < 1200
    assert kept(watched)[-1] == "At least 49000 more warnings were not kept."


def test_a_checkpoint_is_sent_as_json_gives_it_back(watched: Watched) -> None:
    watched.status.checkpoint({"row": 17, "seen": (1, 2)})
    assert watched.sent == [("checkpoint", {"row": 17, "seen": [1, 2]})]


def test_a_checkpoint_that_is_not_json_is_refused_by_path(watched: Watched) -> None:
    with pytest.raises(SettingsError) as caught:
        watched.status.checkpoint({"rows": [1, {2}]})
    assert caught.value.path == "checkpoint['rows'][1]"
    assert not watched.sent
