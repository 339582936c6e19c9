"""When something is to begin: every form in which `run_after` and `RetryLater` take it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Final

Moment = datetime | timedelta | float | str
"""An aware time, how long from now, seconds from now or UNIX time, or text: `+10 minutes`, `2030-01-31T08:00+01:00`."""

UNIX_FROM: Final = 100_000_000
"""A number from here on is a UNIX time (1973 or later), a smaller one seconds from now (three years at most)."""

LONGEST: Final = 10 * 365 * 86400.0
"""Most seconds from now; a time far beyond would be none that a database holds."""

UNITS: Final = {
    seconds: re.compile(names)
    for seconds, names in (
        (1, r"s|secs?|seconds?"),
        (60, r"mins?|minutes?"),
        (3600, r"h|hours?"),
        (86400, r"d|days?"),
        (604800, r"w|weeks?"),
    )
}
PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)")
FORMS: Final = (
    "it is an aware datetime, a timedelta, seconds from now, a UNIX time, or text like "
    "'+10 minutes', '+1 h 30 min', '+2 days' or '2030-01-31T08:00:00+01:00'"
)


def moment(given: Moment, name: str = "run_after") -> datetime | float:
    """Return the time that is meant, in UTC, or how many seconds from now.

    Raises:
        ValueError: It is none; the text names it as `name` and says the forms.
    """
    if isinstance(given, datetime):
        return _utc(given, given, name)
    if isinstance(given, str):
        return _of_text(given, name)
    if isinstance(given, timedelta):
        return _near(given.total_seconds(), given, name)
    if type(given) not in (int, float) or not isfinite(given):
        raise ValueError(f"{name}={given!r} is no time; {FORMS}")
    if given < UNIX_FROM:
        return _near(float(given), given, name)
    try:
        return datetime.fromtimestamp(given, UTC)
    except (OverflowError, ValueError, OSError):
        raise ValueError(f"{name}={given!r} is a UNIX time beyond the calendar; {FORMS}") from None


def seconds(given: timedelta | float | str, name: str) -> float:
    """Return how many seconds from now are meant.

    Raises:
        ValueError: It is no duration, or a negative one.
    """
    found = moment(given, name)
    if isinstance(found, datetime):
        raise ValueError(f"{name}={given!r} is a time; how long from now is wanted: seconds or text like '+10 minutes'")
    if found < 0:
        raise ValueError(f"{name}={given!r} lies in the past")
    return found


def _of_text(given: str, name: str) -> datetime | float:
    if given.lstrip().startswith("+"):
        return _near(_duration(given, name), given, name)
    try:
        found = datetime.fromisoformat(given.strip())
    except ValueError:
        raise ValueError(f"{name}={given!r} is no time; {FORMS}") from None
    return _utc(found, given, name)


def _utc(found: datetime, given: object, name: str) -> datetime:
    if found.utcoffset() is None:
        raise ValueError(f"{name}={given!r} has no time zone; {FORMS}")
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name}={given!r} is beyond the calendar; {FORMS}") from None


def _duration(given: str, name: str) -> float:
    """Return the sum of numbers with units."""
    text, total = given.strip().removeprefix("+").lower(), 0.0
    while text:
        found = PART.match(text)
        size = next((size for size, names in UNITS.items() if found and names.fullmatch(found[2])), None)
        if found is None or size is None:
            raise ValueError(f"{name}={given!r} is no time; {FORMS}")
        total += float(found[1]) * size
        text = text[found.end() :].rstrip()
    if given.strip() == "+":
        raise ValueError(f"{name}={given!r} is no time; {FORMS}")
    return total


def _near(found: float, given: object, name: str) -> float:
    if abs(found) > LONGEST:
        raise ValueError(f"{name}={given!r} is more than ten years from now")
    return found
