"""Times and durations as people read and write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from forktask import clock, moments


def shown(moment: datetime | None, utc: bool, *, zone: bool = False) -> str:
    """Return a time in the zone of this machine or in UTC; empty for None."""
    if moment is None:
        return ""
    local = moment.astimezone(UTC if utc else None)
    return f"{local:%Y-%m-%d %H:%M:%S}" + (f" {local:%Z}" if zone else "")


def of_day(moment: datetime, utc: bool) -> str:
    """Return the time of day."""
    return f"{moment.astimezone(UTC if utc else None):%H:%M:%S}"


def length(seconds: float | None) -> str:
    """Return a duration: `0.4 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


class Seconds(click.FloatRange):
    """A number of seconds, which has an end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return number


class Age(click.ParamType[timedelta]):
    """How long: `30 days`, `2 h`, `90` (seconds)."""

    name = "AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return how long."""
        if isinstance(value, timedelta):
            return value
        try:
            return timedelta(seconds=_seconds(value))
        except ValueError:
            self.fail(f"{value!r} is no age; say for example '30 days', '2 h' or 90 (seconds)", param, ctx)


class Since(click.ParamType[datetime]):
    """A time, or how long ago: `2030-01-31T08:00`, `2 hours`."""

    name = "TIME|AGE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the time; without a zone it is that of this machine."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value.strip()).astimezone(UTC)
        except ValueError:
            pass
        try:
            return clock.now() - timedelta(seconds=_seconds(value))
        except ValueError:
            self.fail(f"{value!r} is no time; say for example '2 hours' (ago) or 2030-01-31T08:00", param, ctx)


def _seconds(text: str) -> float:
    """Return the seconds of a duration, which may begin with a plus."""
    stripped = text.strip().removeprefix("+")
    try:
        return moments.seconds(float(stripped), "age")
    except ValueError:
        return moments.seconds(f"+{stripped}", "age")
