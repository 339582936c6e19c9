"""When a recurring task is due: every so often, or as a cron expression says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice, pairwise
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from forktask.errors import ScheduleError
from forktask.schedule.zones import SECOND, first_moment, next_change, offset_at, wall, zone_of

ALIASES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EXPRESSION_LIMIT: Final = 255
SAMPLE: Final = 200
"""Runs that are looked at to learn how close they may come; enough for each hour of a week."""
SOME_DAY: Final = datetime(2001, 1, 1)  # noqa: DTZ001 - the clock on a wall
"""A Monday from which an expression has to come true within 50 years."""


class Rule(Protocol):
    """A sequence of due times."""

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time after a moment; None: none comes."""


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds of real time, counted from `anchor`, which is due itself."""

    seconds: float
    anchor: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time after a moment."""
        if moment < self.anchor:
            return self.anchor
        length = timedelta(seconds=self.seconds)
        return self.anchor + ((moment - self.anchor) // length + 1) * length


@dataclass(frozen=True)
class Cron:
    """A cron expression by the clock on the wall of a time zone.

    An expression that names hours is of the wall: of what falls into a skipped hour one run follows when the clock has
    jumped, and of an hour that comes twice only the first counts. One for every hour (`*` or `*/2` as the hour) goes
    on in real time.
    """

    expression: str
    timezone: str

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone_of(self.timezone)

    @cached_property
    def _names_hours(self) -> bool:
        return not self.expression.split()[1].startswith("*")

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time after a moment."""
        return self._of_wall(moment) if self._names_hours else self._of_real_time(moment)

    def _of_wall(self, moment: datetime) -> datetime | None:
        for shown in CronSim(self.expression, wall(moment, self._zone)):
            found = first_moment(shown, self._zone)
            if found > moment:
                return found
        return None

    def _of_real_time(self, moment: datetime) -> datetime | None:
        """Search on each side of a change of the offset by the offset that holds there."""
        begin = moment.astimezone(UTC).replace(microsecond=0)
        offset = offset_at(begin, self._zone)
        while True:
            shown = next(CronSim(self.expression, (begin + offset).replace(tzinfo=None)), None)
            if shown is None:
                return None
            found = shown.replace(tzinfo=UTC) - offset
            change = next_change(begin, found, self._zone)
            if change is None:
                return found
            begin, offset = change, offset_at(change, self._zone)
            if self._is_due(begin):
                return begin

    def _is_due(self, moment: datetime) -> bool:
        shown = wall(moment, self._zone)
        return next(CronSim(self.expression, shown - SECOND), None) == shown


@dataclass(frozen=True, slots=True)
class Bounded:
    """A rule from one moment until another, both included."""

    rule: Rule
    start: datetime | None
    end: datetime | None

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the first due time after a moment."""
        if self.start is not None and moment < self.start:
            moment = self.start - timedelta(microseconds=1)
        found = self.rule.next_after(moment)
        return None if found is None or (self.end is not None and found > self.end) else found


def cron(expression: object, timezone: str) -> Cron:
    """Return the rule of a cron expression.

    Raises:
        ScheduleError: It is wrong or never comes true, or there is no such time zone.
    """
    if not isinstance(expression, str) or len(expression) > EXPRESSION_LIMIT:
        raise ScheduleError(f"cron={expression!r} is no text of {EXPRESSION_LIMIT} characters like '0 3 * * mon-fri'")
    text = ALIASES.get(expression.strip().lower(), expression)
    if len(fields := text.split()) != 5:
        raise ScheduleError(
            f"cron={expression!r} has {len(fields)} fields; there are five: minute, hour, day of the month, month, "
            f"day of the week; or it is one of {', '.join(ALIASES)}"
        )
    zone_of(timezone)
    try:
        comes = next(CronSim(text, SOME_DAY), None)
    except CronSimError as error:
        raise ScheduleError(f"cron={expression!r} is wrong: {error}") from error
    if comes is None:
        raise ScheduleError(f"cron={expression!r} never comes true")
    return Cron(" ".join(fields), timezone)


def closest(rule: Rule, moment: datetime) -> float:
    """Return how many seconds lie between runs at least, as far as the next ones show."""
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(islice(due_times(rule, moment), SAMPLE))]
    return min(gaps, default=float("inf"))


def due_times(rule: Rule, moment: datetime) -> Iterator[datetime]:
    """Yield the due times after a moment."""
    found = rule.next_after(moment)
    while found is not None:
        yield found
        found = rule.next_after(found)
