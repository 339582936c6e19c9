"""From the clock on the wall to real time, where daylight saving skips an hour or has one twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from forktask.errors import ScheduleError

SECOND: Final = timedelta(seconds=1)
STRIDE: Final = timedelta(days=7)
"""No zone changes its offset twice within a week."""


def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of this name.

    Raises:
        ScheduleError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError, TypeError):
        raise ScheduleError(
            f"timezone={name!r} is not known here; it is a name like 'Europe/Berlin' "
            "(a machine without a time zone database needs the package tzdata)"
        ) from None


def wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return what the clock on the wall shows; naive."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def first_moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """Return when the clock shows this for the first time; if it never does, when it has jumped over it."""
    moment = shown.replace(tzinfo=zone).astimezone(UTC)
    if wall(moment, zone) == shown:
        return moment
    before = shown.replace(tzinfo=zone, fold=1).astimezone(UTC)  # PEP 495: by the offset that comes after the gap
    return next_change(before, moment, zone) or moment


def next_change(low: datetime, high: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first moment after `low`, and not after `high`, from which another offset holds; None: there is none.

    Both are whole seconds.
    """
    offset = offset_at(low, zone)
    while low < high:
        step = min(low + STRIDE, high)
        if offset_at(step, zone) != offset:
            return _bisect(low, step, zone)
        low = step
    return None


def _bisect(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    offset = offset_at(low, zone)
    while high - low > SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if offset_at(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    """Return how far the clock on the wall is before UTC."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)
