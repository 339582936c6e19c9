"""When something is to begin: the forms that are taken, and those that are refused by name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forktask.moments import moment, seconds

AT = datetime(2030, 1, 31, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (30, 30.0),
        (0.5, 0.5),
        (-5, -5.0),
        (99_999_999, 99_999_999.0),
        (timedelta(minutes=2), 120.0),
        ("+10 minutes", 600.0),
        ("+1 h 30 min", 5400.0),
        ("+1h30min", 5400.0),
        (" + 2 Days ", 172_800.0),
        ("+1.5 hours 1 second", 5401.0),
        ("+1 week", 604_800.0),
    ],
)
def test_how_long_from_now_is_seconds(given: Any, found: float) -> None:
    assert moment(given) == found
    assert isinstance(moment(given), float)


@pytest.mark.parametrize(
    "given", [AT, AT.timestamp(), int(AT.timestamp()), "2030-01-31T08:00:00+01:00", "2030-01-31 07:00Z"]
)
def test_a_time_is_an_aware_datetime(given: Any) -> None:
    found = moment(given)
    assert isinstance(found, datetime)
    assert (found, found.tzinfo) == (AT, UTC)


def test_the_first_number_that_is_a_unix_time_is_in_1973() -> None:
    assert moment(100_000_000) == datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("soon", "run_after='soon' is no time; it is an aware datetime, a timedelta"),
        ("", "run_after='' is no time"),
        ("+", r"run_after='\+' is no time"),
        ("+10", r"run_after='\+10' is no time"),
        ("+5 m", r"'\+5 m' is no time"),
        ("+5 months", "is no time; .*'\\+10 minutes'"),
        ("+1 h -5 min", "is no time"),
        ("10 minutes", "'10 minutes' is no time"),
        ("2030-01-31T08:00", "has no time zone"),
        (datetime(2030, 1, 1), "has no time zone"),  # noqa: DTZ001 - the point
        (True, "run_after=True is no time"),
        (float("nan"), "run_after=nan is no time"),
        (float("inf"), "run_after=inf is no time"),
        ([5], r"run_after=\[5\] is no time"),
        (1e18, "beyond the calendar"),
        ("9999-12-31T23:59-12:00", "beyond the calendar"),
        (timedelta(days=4000), "more than ten years from now"),
        ("+600 weeks", "more than ten years from now"),
    ],
)
def test_what_is_no_time_is_named_with_the_forms(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        moment(given)


def test_a_delay_is_no_time_and_not_in_the_past() -> None:
    assert seconds("+1 min", "delay") == 60
    with pytest.raises(ValueError, match=r"delay=.* is a time; how long from now is wanted"):
        seconds("2030-01-31T08:00Z", "delay")
    with pytest.raises(ValueError, match=r"delay=-1 lies in the past"):
        seconds(-1, "delay")
