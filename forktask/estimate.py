"""How long a task still runs: a range of seconds, from the pace of its run and from earlier runs. No I/O.

**From the pace.** The share of the work divided by the time, over the whole run, its last half and its last 3/10. The
fastest gives the least time left, the slowest the most; where the second half of a run was slower than the first, it
is thought to go on slowing. The range is widened by the standard error of a mean that stands for another: with the
deviation s between B equal stretches of the run so far and a share d done, s * sqrt(1/B + d / (B * (1 - d)))
= s / sqrt(B * (1 - d)).

**From earlier runs.** Of the durations that are longer than this run has lasted, about the tenth and the ninetieth
percentile, less what has passed (the residual life; Kalbfleisch & Prentice, The Statistical Analysis of Failure Time
Data, section 1.2), widened when they are few.

**Both** are mixed on a logarithmic scale; the pace counts by the share that is done. The constants were chosen on the
simulated runs of `tests/unit/test_estimate.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

Range = tuple[float, float]
DAY: Final = 86400

MOST_POINTS: Final = 64
"""Reports that are kept of a run; when there are more, every other one goes."""
FIRST_SECONDS: Final = 2.0
FIRST_SHARE: Final = 0.02
FIRST_POINTS: Final = 4
"""Before so much of a run is known, its pace says nothing."""
WINDOWS: Final = (1.0, 0.5, 0.3)
"""Parts of the run so far whose pace is looked at."""
STRETCHES: Final = 8
"""Equal parts of the run so far whose paces are compared."""
WIDEST: Final = 6.0
"""A range whose ends are further apart than this factor says nothing to a person."""
LONG_SINCE: Final = 0.35
"""Share of the run so far; after so long without a report it stands still, and nobody knows until when."""

STEPS: Final = (
    0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 360, 480, 600, 720, 900, 1200, 1500, 1800, 2400, 3000,
    3600, 5400, 7200, 10800, 14400, 18000, 21600, 28800, 36000, 43200, 57600, 72000, 86400,
)  # fmt: skip
"""Seconds that are shown; above a day, whole days."""


def share_of(percent: float | None, done: int | None, total: int | None) -> float | None:
    """Return what part of the work is done, 0 to 1; None: nobody knows."""
    if percent is None or (done is not None and total is None):
        return None
    return min(max(percent / 100, 0.0), 1.0)


class Pace:
    """The reports of one attempt, thinned out: how much was done when."""

    def __init__(self) -> None:
        self._times = [0.0]
        self._shares = [0.0]

    def add(self, active: float, share: float) -> None:
        """Take in a report.

        Args:
            active: Seconds that the attempt has run, paused time left out.
            share: Of the work that is done, 0 to 1.
        """
        if share < self._shares[-1] or active < self._times[-1]:
            self._times, self._shares = [active], [share]  # it begins anew
            return
        if share == self._shares[-1]:
            return
        self._times.append(active)
        self._shares.append(share)
        if len(self._times) > MOST_POINTS:
            del self._times[1:-1:2], self._shares[1:-1:2]

    def range(self) -> Range | None:
        """Return the slowest and the fastest pace that may follow, in shares a second; None: too little is known."""
        times, shares = self._times, self._shares
        length, done = times[-1] - times[0], shares[-1] - shares[0]
        if length < FIRST_SECONDS or done < FIRST_SHARE or len(times) < FIRST_POINTS:
            return None
        paces = [(shares[-1] - self._share_at(times[-1] - length * part)) / (length * part) for part in WINDOWS]
        first_half = (self._share_at(times[0] + length / 2) - shares[0]) / (length / 2)
        slowing = min(1.0, max(0.5, paces[1] / first_half)) if first_half > 0 else 1.0
        uneven = self._unevenness()
        # Where the pace changes all the time, the last stretch says little of the next.
        paces[1:] = [paces[0] + (pace - paces[0]) / (1 + 1.5 * uneven) for pace in paces[1:]]
        left = max(1 - shares[-1], 0.05)
        spread = 1.05 + 1.2 * uneven / math.sqrt(STRETCHES * left) + 0.2 * left
        return min(*paces, paces[1] * slowing) / (spread * 1.12), max(paces) * spread

    def _unevenness(self) -> float:
        """Return the deviation of the paces of equal stretches from their mean, as a share of it."""
        begin, length = self._times[0], self._times[-1] - self._times[0]
        marks = [self._share_at(begin + length * part / STRETCHES) for part in range(STRETCHES + 1)]
        mean = (marks[-1] - marks[0]) / STRETCHES
        squares = sum((after - before - mean) ** 2 for before, after in pairwise(marks))
        return math.sqrt(squares / STRETCHES) / mean

    def _share_at(self, time: float) -> float:
        times, shares = self._times, self._shares
        if time <= times[0]:
            return shares[0]
        if time >= times[-1]:  # by rounding, too
            return shares[-1]
        index = bisect_left(times, time)
        before, after = times[index - 1], times[index]
        part = (time - before) / (after - before)
        return shares[index - 1] + part * (shares[index] - shares[index - 1])


def by_pace(share: float, active: float, since: float, pace: Range | None) -> Range | None:
    """Return the seconds left by the pace of the run.

    Args:
        share: Done at the last report.
        active: Seconds that the attempt had run then.
        since: Seconds since then.
        pace: What `Pace.range` said then.
    """
    if pace is None or pace[0] <= 0 or share <= 0:
        return None
    left = 1 - share
    low, high = left / pace[1], left / pace[0]
    if since > LONG_SINCE * (active + 5):
        return None  # it stands still
    return max(0.0, low - since), max(high, left * (active + since) / share) if since > high / 4 else high


def by_history(durations: Sequence[float], active: float) -> Range | None:
    """Return the seconds left by earlier runs.

    Args:
        durations: Seconds that they took, in any order.
        active: Seconds that this one has run.
    """
    longer = sorted(duration for duration in durations if duration > active)
    if not longer or len(longer) < len(durations) / 4:
        return None  # it is longer than usual
    spread = 1.15 + 0.5 / len(longer)
    low = longer[(len(longer) - 1) // 10]
    high = longer[len(longer) - 1 - (len(longer) - 1) // 10]
    return max(0.0, low / spread - active), max(high * spread - active, high / 20)


def together(pace: Range | None, history: Range | None, share: float) -> Range | None:
    """Return one range from both, rounded; None where nothing useful can be said."""
    if pace is None or history is None:
        found = pace or history
    else:
        weight = min(1.0, 0.15 + 2 * share)
        found = (_mix(history[0], pace[0], weight), _mix(history[1], pace[1], weight))
    if found is None:
        return None
    low, high = rounded(found)
    return None if high > WIDEST * max(low, 10) else (low, high)


def _mix(one: float, other: float, weight: float) -> float:
    return math.exp((1 - weight) * math.log(max(one, 1.0)) + weight * math.log(max(other, 1.0)))


def rounded(found: Range) -> Range:
    """Return the range on whole steps, outwards."""
    low, high = found
    if high > STEPS[-1]:
        days = (math.floor(low / DAY) * DAY, math.ceil(high / DAY) * DAY)
        return (float(days[0] or rounded((low, low))[0]), float(days[1]))
    return float(STEPS[bisect_right(STEPS, low) - 1]), float(STEPS[bisect_left(STEPS, high)])
