"""When a recurring task is due, where clocks change and where they do not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from forktask.errors import ScheduleError
from forktask.schedule.rules import ALIASES, Bounded, Cron, Every, closest, cron, due_times

MINUTE = timedelta(minutes=1)
BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
ALL = frozenset(range(60))
WEEK = frozenset(range(7))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def times(rule: Cron | Every | Bounded, after: str, count: int) -> list[str]:
    return [f"{time:%d %H:%M}" for time in islice(due_times(rule, at(after)), count)]


def shown(rule: Cron, after: str, count: int) -> list[str]:
    """Return the next due times as the clock on the wall shows them, with its offset."""
    found = islice(due_times(rule, at(after)), count)
    return [f"{time.astimezone(ZoneInfo(rule.timezone)):%d %H:%M%z}" for time in found]


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # 29 March 2026: 02:00 +01 is followed by 03:00 +02.
        ("30 2 * * *", BERLIN, "2026-03-28T00:00+01:00", ["28 02:30+0100", "29 03:00+0200", "30 02:30+0200"]),
        ("15,45 2 * * *", BERLIN, "2026-03-28T12:00+01:00", ["29 03:00+0200", "30 02:15+0200", "30 02:45+0200"]),
        ("0,30 2,3 * * *", BERLIN, "2026-03-29T00:00+01:00", ["29 03:00+0200", "29 03:30+0200", "30 02:00+0200"]),
        ("30 * * * *", BERLIN, "2026-03-29T01:00+01:00", ["29 01:30+0100", "29 03:30+0200", "29 04:30+0200"]),
        ("0 */2 * * *", BERLIN, "2026-03-29T00:30+01:00", ["29 04:00+0200", "29 06:00+0200"]),
        ("*/30 2 * * *", BERLIN, "2026-03-29T00:00+01:00", ["29 03:00+0200", "30 02:00+0200", "30 02:30+0200"]),
        # 25 October 2026: 03:00 +02 is followed by 02:00 +01.
        ("30 2 * * *", BERLIN, "2026-10-25T00:00+02:00", ["25 02:30+0200", "26 02:30+0100"]),
        ("30 2 * * *", BERLIN, "2026-10-25T02:10+01:00", ["26 02:30+0100"]),
        ("0 3 * * *", BERLIN, "2026-10-25T02:59+02:00", ["25 03:00+0100", "26 03:00+0100"]),
        ("30 * * * *", BERLIN, "2026-10-25T01:30+02:00", ["25 02:30+0200", "25 02:30+0100", "25 03:30+0100"]),
        # 8 March 2026 and 1 November 2026, at 02:00.
        ("30 2 * * *", NEW_YORK, "2026-03-07T12:00-05:00", ["08 03:00-0400", "09 02:30-0400"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01T00:00-04:00", ["01 01:30-0400", "02 01:30-0500"]),
        ("0 * * * *", NEW_YORK, "2026-11-01T00:30-04:00", ["01 01:00-0400", "01 01:00-0500", "01 02:00-0500"]),
        # Half an hour: on 5 April 2026 02:00 +11 is followed by 01:30 +10:30, on 4 October 02:00 +10:30 by 02:30 +11.
        ("45 1 * * *", LORD_HOWE, "2026-04-05T00:00+11:00", ["05 01:45+1100", "06 01:45+1030"]),
        ("15 * * * *", LORD_HOWE, "2026-04-05T00:30+11:00", ["05 01:15+1100", "05 02:15+1030", "05 03:15+1030"]),
        ("45 * * * *", LORD_HOWE, "2026-04-05T01:00+11:00", ["05 01:45+1100", "05 01:45+1030", "05 02:45+1030"]),
        ("15 2 * * *", LORD_HOWE, "2026-10-03T12:00+10:30", ["04 02:30+1100", "05 02:15+1100"]),
        ("0 3 * * *", LORD_HOWE, "2026-10-04T01:00+10:30", ["04 03:00+1100"]),
    ],
)
def test_clocks_that_change(expression: str, zone: str, after: str, expected: list[str]) -> None:
    assert shown(cron(expression, zone), after, len(expected)) == expected


def test_a_whole_day_that_a_zone_left_out() -> None:
    """Samoa went from 29 to 31 December 2011."""
    rule = cron("0 9 30 12 *", "Pacific/Apia")
    assert shown(rule, "2011-12-01T00:00+00:00", 2) == ["31 00:00+1400", "30 09:00+1400"]


def test_an_interval_counts_real_time_where_an_hour_is_skipped() -> None:
    rule = Every(6 * 3600, at("2026-03-28T12:00+01:00"))
    assert times(rule, "2026-03-28T12:00+01:00", 3) == ["28 17:00", "28 23:00", "29 05:00"]


def test_an_interval_begins_with_its_anchor() -> None:
    rule = Every(600, at("2030-01-01T00:00+00:00"))
    assert times(rule, "2026-01-01T00:00+00:00", 2) == ["01 00:00", "01 00:10"]
    assert times(rule, "2030-01-01T00:09:59.999999+00:00", 1) == ["01 00:10"]
    assert times(rule, "2030-01-01T00:10+00:00", 1) == ["01 00:20"]


def test_from_and_until_are_both_included() -> None:
    rule = Bounded(cron("0 * * * *", "UTC"), at("2026-01-01T10:00+00:00"), at("2026-01-01T12:00+00:00"))
    assert times(rule, "2025-01-01T00:00+00:00", 9) == ["01 10:00", "01 11:00", "01 12:00"]


def test_the_leap_day_comes_every_four_years() -> None:
    found = islice(due_times(cron("0 0 29 2 *", BERLIN), at("2026-01-01T00:00+00:00")), 3)
    assert [f"{time.astimezone(ZoneInfo(BERLIN)):%Y-%m-%d %H:%M}" for time in found] == [
        "2028-02-29 00:00",
        "2032-02-29 00:00",
        "2036-02-29 00:00",
    ]


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb */2"])
def test_a_day_that_never_comes_is_refused(expression: str) -> None:
    with pytest.raises(ScheduleError, match="cron="):
        cron(expression, "UTC")


def test_a_day_of_the_month_or_one_of_the_week_will_do_where_both_are_named() -> None:
    assert times(cron("0 0 30 2 mon", "UTC"), "2026-02-01T00:00+00:00", 2) == ["02 00:00", "09 00:00"]


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("60 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * 0 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month"),
        ("* * * * 8", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("5-1 * * * *", "Bad minute"),
        ("@reboot", "1 fields"),
        (5, "no text"),
        ("0," * 150 + "0 * * * *", "no text"),
    ],
)
def test_what_is_wrong_with_an_expression_is_named(expression: str, told: str) -> None:
    with pytest.raises(ScheduleError, match=told) as caught:
        cron(expression, "UTC")
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", None])
def test_a_zone_that_is_none_is_refused(zone: str) -> None:
    with pytest.raises(ScheduleError, match="timezone="):
        cron("* * * * *", zone)


def test_short_names_are_understood() -> None:
    assert {cron(name, "UTC").expression for name in ALIASES} == set(ALIASES.values())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["31 00:00", "28 00:00"]),
        ("0 0 LW * *", ["30 00:00", "27 00:00"]),
        ("0 0 * * 5L", ["30 00:00", "27 00:00"]),
        ("0 0 * * 1#2", ["12 00:00", "09 00:00"]),
        ("0 0 1,15 * mon", ["05 00:00", "12 00:00", "15 00:00"]),
        ("0 0 */10 * mon", ["31 00:00", "21 00:00"]),
    ],
)
def test_days_that_are_counted(expression: str, expected: list[str]) -> None:
    rule = cron(expression, "UTC")
    begin = "2026-01-01T00:00+00:00" if "*/10" not in expression else "2026-08-12T00:00+00:00"
    assert times(rule, begin, len(expected)) == expected


def test_how_close_runs_come() -> None:
    begin = at("2026-01-01T00:00+00:00")
    assert closest(cron("0,10 9 * * *", BERLIN), begin) == 600
    assert closest(Bounded(cron("0 0 1 1 *", "UTC"), None, at("2026-06-01T00:00+00:00")), begin) == float("inf")


YEAR = at("2026-01-01T00:00+00:00"), at("2027-01-01T00:00+00:00")


@cache
def minutes(zone: str) -> list[tuple[datetime, datetime]]:
    """Return each minute of the year and what the clock on the wall shows."""
    found, moment = [], YEAR[0]
    while moment < YEAR[1]:
        found.append((moment, moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)))
        moment += MINUTE
    return found


def matches(time: datetime, fields: tuple[frozenset[int], ...]) -> bool:
    return (
        time.minute in fields[0]
        and time.hour in fields[1]
        and time.day in fields[2]
        and time.month in fields[3]
        and time.isoweekday() % 7 in fields[4]
    )


def of_wall(zone: str, fields: tuple[frozenset[int], ...]) -> list[datetime]:
    """Go through what clocks on walls may show, and find the first minute at which one shows it or has jumped over."""
    found, latest = set(), datetime.fromisoformat("2025-12-31")
    for moment, time in minutes(zone):
        while latest < time:
            latest += MINUTE
            if matches(latest, fields):
                found.add(moment)
    return sorted(found)


def of_real_time(zone: str, fields: tuple[frozenset[int], ...]) -> list[datetime]:
    return [moment for moment, time in minutes(zone) if matches(time, fields)]


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("30 2 * * *", ({30}, {2}, ALL, ALL, WEEK)),
        ("*/20 1,2 * * *", ({0, 20, 40}, {1, 2}, ALL, ALL, WEEK)),
        ("5 0-3 * 3,4,10,11 *", ({5}, {0, 1, 2, 3}, ALL, {3, 4, 10, 11}, WEEK)),
        ("*/5 9-17 * * mon-fri", (set(range(0, 60, 5)), set(range(9, 18)), ALL, ALL, {1, 2, 3, 4, 5})),
        ("*/15 * * * *", ({0, 15, 30, 45}, ALL, ALL, ALL, WEEK)),
        ("45 */3 * * sun", ({45}, set(range(0, 24, 3)), ALL, ALL, {0})),
        ("0 * 1 * *", ({0}, ALL, {1}, ALL, WEEK)),
        ("59 23 31 12 *", ({59}, {23}, {31}, {12}, WEEK)),
    ],
)
def test_a_year_is_what_a_walk_from_minute_to_minute_finds(
    expression: str, fields: tuple[frozenset[int], ...], zone: str
) -> None:
    rule = cron(expression, zone)
    walk = of_real_time if expression.split()[1].startswith("*") else of_wall
    begin = YEAR[0] + timedelta(days=1)  # the walk does not know what was before the year
    expected = [moment for moment in walk(zone, fields) if moment > begin]
    found = []
    for time in due_times(rule, begin):
        if time >= YEAR[1]:
            break
        found.append(time)
    assert found == expected


@pytest.mark.parametrize("zone", [BERLIN, LORD_HOWE])
@pytest.mark.parametrize("expression", ["*/20 1,2 * * *", "*/20 * * * *"])
def test_the_next_time_is_the_same_whenever_it_is_asked_for(expression: str, zone: str) -> None:
    rule = cron(expression, zone)
    for day in ("2026-03-29", "2026-10-25", "2026-04-04", "2026-10-03"):
        begin = at(f"{day}T00:00+00:00")
        found = list(islice(due_times(rule, begin - MINUTE), 60))
        for seconds in range(0, 20 * 3600, 97):
            moment = begin + timedelta(seconds=seconds, microseconds=7)
            expected = next((time for time in found if time > moment), None)
            if expected is not None:
                assert rule.next_after(moment) == expected
