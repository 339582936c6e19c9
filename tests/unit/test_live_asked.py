"""Loops that are asked where they are, as a supervisor does when their report grows old."""

from __future__ import annotations

import pytest

from tests.unit.lives import Watched, work
from tests.unit.test_live_track import SLOW, counts


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_loop_tells_where_it_is_whenever_it_is_asked(watched: Watched) -> None:
    for number in watched.status.track(range(10_000)):
        if number >= 9_000:
            watched.status._bar.catch_up()
            assert counts(watched) == (number, 10_000)


def test_an_item_that_stands_still_soon_after_a_report_is_told(watched: Watched) -> None:
    for number in watched.status.track(range(100)):
        work(0.001)
        if number in (20, 50, 51, 52):
            assert watched.page.may_be_behind or counts(watched) == (number, 100)
            watched.status._bar.catch_up()
            assert counts(watched) == (number, 100)


def test_a_loop_that_is_asked_again_reports_once(watched: Watched) -> None:
    for number in watched.status.track(range(10_000)):
        if number == 9_000:
            watched.status._bar.catch_up()
            told = len(watched.reports)
            watched.status._bar.catch_up()
            assert len(watched.reports) == told


def test_a_loop_says_that_it_may_be_ahead_only_while_it_may(watched: Watched) -> None:
    seen = set()
    for number in watched.status.track(range(10_000)):
        seen.add(watched.page.may_be_behind)
        if number == 9_000:
            break
    assert seen == {False, True}
    assert not watched.page.may_be_behind
    for _ in watched.status.track(range(5)):
        work(SLOW)
        assert not watched.page.may_be_behind


def test_the_end_of_an_inner_loop_leaves_the_outer_one_to_be_asked(watched: Watched) -> None:
    for number in watched.status.track(range(10_000)):
        if number == 9_000:
            list(watched.status.track(range(1_000)))
            assert watched.page.may_be_behind
            watched.status._bar.catch_up()
            assert counts(watched) == (9_000, 10_000)
