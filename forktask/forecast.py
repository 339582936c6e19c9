"""How long a status will still run, by its row and by the last runs of its task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from math import ceil
from statistics import median
from typing import NamedTuple
from uuid import UUID

from forktask import clock, estimate, registry
from forktask.errors import StoreError
from forktask.estimate import Range
from forktask.rows import StatusRow
from forktask.states import State
from forktask.store import ALL_QUEUES, MOST_AHEAD, Store

LAST_RUNS = 20
"""How many earlier runs are asked for."""
LINE_KEPT_FOR = 1.0
"""Seconds for which a process knows who waits in a queue: a page asks for all its bars, and many people at a time."""
KEPT_FOR = 10.0
"""Seconds for which a process knows them before it asks again."""
MOST_TASKS = 500
"""Of which a process knows the last runs at a time."""


class Place(NamedTuple):
    """Where a status stands in its queue."""

    number: int
    """1: it is the next."""
    starts_in: float | None
    """Seconds, by the last runs of the tasks before it; None: nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """A queue at a moment: the same for all who wait in it."""

    numbers: dict[UUID, int]
    times: list[float | None]
    """Seconds of work before the first, the second …, what runs included; None from where nobody can say."""
    shares: list[float]
    """How many runners the first, the first two … need, what runs included: a batch needs one."""
    runners: int
    spacing: float
    """Least seconds between two that begin."""
    is_paused: bool

    @property
    def length(self) -> int:
        return len(self.numbers)

    def starts_in(self, number: int) -> float | None:
        work = self.times[number - 1]
        if work is None:
            return None
        is_free = ceil(self.shares[number - 1] - 1e-9) <= self.runners
        return max(0.0 if is_free else work / self.runners, (number - 1) * self.spacing)


def _plus(work: float | None, each: float | None, count: float) -> float | None:
    return None if work is None or each is None else work + each * count


class Forecast:
    """Says how long statuses will still run; knows the last runs of each task for some seconds.

    Args:
        runners: Returns how many tasks of a queue run at once.
    """

    def __init__(self, store: Store, runners: Callable[[str], int] = lambda queue: 1) -> None:
        self._store = store
        self._runners = runners
        self._known: dict[str, tuple[float, list[float]]] = {}
        self._lines: dict[str, tuple[float, _Line]] = {}

    def remaining(self, row: StatusRow, now: datetime) -> Range | None:
        """Return the least and the most seconds left, rounded for a person; None: nobody can say."""
        if row.state is not State.RUNNING or row.started_at is None or row.cancel_requested_at is not None:
            return None
        share = estimate.share_of(row.percent, row.done, row.total)
        active, last = (0.0, row.started_at) if row.active_seconds is None else (row.active_seconds, row.updated_at)
        since = max(0.0, (now - last).total_seconds())
        pace = None
        if share is not None and row.pace_low is not None and row.pace_high is not None:
            pace = estimate.by_pace(share, active, since, (row.pace_low, row.pace_high))
        # An attempt that goes on from a checkpoint is shorter than a whole run.
        whole = row.attempt == 1 or row.checkpoint is None
        history = estimate.by_history(self._durations(row.task), active + since) if whole else None
        return estimate.together(pace, history, share or 0.0)

    def place(self, row: StatusRow) -> Place | None:
        """Return the place of a row that waits in a queue; None where it has none, or nobody can say."""
        if row.state is not State.QUEUED or row.line is None:
            return None
        try:
            line = self._line(row.line, row.queue)
        except StoreError:  # no page fails for an estimate
            return None
        if line.is_paused:
            return None
        number = line.numbers.get(row.id)
        if number is None:
            is_later = row.run_after is not None and row.run_after > clock.now()
            return Place(line.length + 1, None) if line.length >= MOST_AHEAD and not is_later else None
        return Place(number, line.starts_in(number))

    def _line(self, name: str, queue: str | None) -> _Line:
        """Look at a line; of one that has a limit of its own nobody can say when it moves on."""
        moment = clock.monotonic()
        known = self._lines.get(name)
        if known is not None and moment - known[0] < LINE_KEPT_FOR:
            return known[1]
        waiting, queues = self._store.line_of(name), {row.name: row for row in self._store.queue_rows()}
        running = self._store.running_in(queue) if queue == name else {}
        typical = {task: self._typical(task) for task in {*(task for _, task in waiting), *running}}
        times: list[float | None] = [0.0 if queue == name else None]
        share = {task: 1 / registry.batch_of(task) for task in typical}
        for task, count in running.items():  # on the average they are half done
            times = [_plus(times[0], typical[task], ceil(count * share[task]) / 2)]
        for _, task in waiting:
            times.append(_plus(times[-1], typical[task], share[task]))
        busy = sum(ceil(count * share[task]) for task, count in running.items())
        limit = queues[queue].limit if queue in queues else None
        most = limit.running if limit is not None and limit.running is not None else MOST_AHEAD
        line = _Line(
            numbers={status_id: number for number, (status_id, _) in enumerate(waiting, 1)},
            times=times,
            shares=list(accumulate((share[task] for _, task in waiting), initial=float(busy)))[1:],
            runners=max(1, min(most, self._runners(queue or ""))),
            spacing=limit.interval if limit is not None else 0.0,
            is_paused=any(one in queues and queues[one].paused_at for one in (queue, ALL_QUEUES) if one),
        )
        if len(self._lines) >= MOST_TASKS:
            self._lines.clear()
        self._lines[name] = (moment, line)
        return line

    def _typical(self, task: str) -> float | None:
        durations = self._durations(task)
        return median(durations) if durations else None

    def _durations(self, task: str) -> list[float]:
        moment = clock.monotonic()
        known = self._known.get(task)
        if known is not None and moment - known[0] < KEPT_FOR:
            return known[1]
        try:
            found = self._store.durations(task, LAST_RUNS)
        except StoreError:  # no page fails for an estimate
            found = known[1] if known is not None else []
        if len(self._known) >= MOST_TASKS:
            self._known.clear()
        self._known[task] = (moment, found)
        return found
