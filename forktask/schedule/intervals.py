"""Lengths of time as they are said of recurring tasks: `10 minutes`, `1 h 30 min`, a number of seconds, a timedelta."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from forktask import moments
from forktask.errors import ScheduleError

Interval = timedelta | float | str

FORMS: Final = "it is a number of seconds, a timedelta, or text like '10 minutes', '1 h 30 min' or '2 days'"


def seconds(given: Interval, name: str, *, least: float) -> float:
    """Return a length of time in seconds.

    Args:
        name: What it is called in errors.

    Raises:
        ScheduleError: It is none, shorter than `least`, or longer than ten years.
    """
    try:
        found = moments.seconds(f"+{given.strip().removeprefix('+')}" if isinstance(given, str) else given, name)
    except ValueError as error:
        raise ScheduleError(f"{name}={given!r} is no length of time of at most ten years; {FORMS}") from error
    if found < least:
        raise ScheduleError(f"{name}={given!r} is too short; at least {least:g} s are needed")
    return found
