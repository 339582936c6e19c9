"""The supervisor's part in recurring tasks: it says what its code declares, and orders the runs that are due."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from forktask import clock, registry
from forktask.definition import TaskDefinition
from forktask.errors import ScheduleError
from forktask.line import lane_of, line_of
from forktask.rows import StatusRow, SupervisorRow, new_id
from forktask.schedule import changes, declared
from forktask.schedule.declaration import Declaration
from forktask.schedule.planning import MOST, plan, run_key
from forktask.schedule.table import ScheduleRow
from forktask.states import Cause, State
from forktask.store import Store
from forktask.supervisor.preload import Preloaded

log = logging.getLogger("forktask.schedule")

LOOK_AHEAD: Final = 10.0
"""Seconds for which what is due is known; after that, or earlier if something is, the table is read again."""
HELD_INTERVAL: Final = 1.0
PATIENCE: Final = 0.5
"""Seconds of a look, after which no other task is begun with."""
STEP: Final = timedelta(seconds=2)
"""By how much a clock is set back before it matters; a smaller step it makes good by itself."""


class Schedules:
    """Looks for what is due; costs one indexed read in ten seconds where nothing is.

    All times are those of the database: its clock may be set forward or back.

    Args:
        source: The application whose code this process has; None where that could not be imported.
        wake: Called with queue and task of each run that was left to a queue.
    """

    def __init__(
        self, store: Store, source: changes.Source | None, wake: Callable[[str, str], object] = lambda queue, task: None
    ) -> None:
        self.store = store
        self.source = source
        self.wake = wake
        self.ordered = 0
        """Runs so far."""
        self._said: dict[str, Declaration] | None = None
        self._look_at = 0.0
        self._seen: tuple[datetime, float] | None = None
        self._complained: set[str] = set()

    def look(self) -> None:
        """Order what is due.

        Raises:
            StoreError: The database is away; the next look does it.
        """
        if clock.monotonic() < self._look_at:
            return
        if self.source is not None and self._said != declared():
            self._check(self.source)
        rows, now = self.store.due_schedules(LOOK_AHEAD)
        if self.source is not None and self._was_set_back(now):
            self._check(self.source)
        wait, until = LOOK_AHEAD, clock.monotonic() + PATIENCE
        for row in rows:
            if row.next_at is None or registry.find(row.task) is None:
                continue  # a supervisor that knows it will order it
            wait = min(wait, (row.next_at - now).total_seconds() if row.next_at > now else self._attend(row, now))
            if clock.monotonic() > until:
                wait = 0.0  # the rest at the next look: runners and heartbeats do not wait for it
                break
        self._look_at = clock.monotonic() + max(0.0, wait)

    def _was_set_back(self, now: datetime) -> bool:
        """Compare the clock of the database with one that is never set."""
        before, self._seen = self._seen, (now, clock.monotonic())
        return before is not None and now - before[0] < timedelta(seconds=self._seen[1] - before[1]) - STEP

    def _check(self, source: changes.Source) -> None:
        """Bring the table up to what the code says; and what is due where it is due too late after a step back."""
        said = declared()
        rows, now = self.store.schedules()
        known = {row.name: row for row in rows}
        new = [changes.new_row(one, source, now) for name, one in said.items() if name not in known]
        changed = []
        for row in rows:
            values = self._guarded(row, said.get(row.name), source, now)
            if values:
                changed.append((row, values))
        self.store.write_schedules(new, changed)
        for row in new:
            log.info("declared schedule=%s task=%s next=%s", row.name, row.task, row.next_at)
        self._said = said

    def _guarded(
        self, row: ScheduleRow, said: Declaration | None, source: changes.Source, now: datetime
    ) -> dict[str, Any]:
        try:
            return self._changes(row, said, source, now)
        except ScheduleError as error:
            self._complain(row, error)
            return {}

    def _changes(
        self, row: ScheduleRow, said: Declaration | None, source: changes.Source, now: datetime
    ) -> dict[str, Any]:
        if self._said is not None and said == self._said.get(row.name):
            return changes.set_back(row, now)  # said, or not said, before; another version may differ
        if said is not None:
            if row.application not in ("", source.application):
                log.warning("schedule=%s was of application=%s; it is ours now", row.name, row.application)
            return changes.changes(row, said, source, now)
        if row.application == source.application and row.withdrawn_at is None:
            log.info("withdrawn schedule=%s: the application no longer declares it", row.name)
            return changes.withdrawn(now)
        return changes.set_back(row, now)

    def _complain(self, row: ScheduleRow, error: ScheduleError) -> None:
        if row.name not in self._complained:
            self._complained.add(row.name)
            log.error("schedule=%s: %s", row.name, error)

    def _attend(self, row: ScheduleRow, now: datetime) -> float:
        """Order the runs of one that is due; return in how many seconds to look again."""
        definition: TaskDefinition = registry.get(row.task)
        try:
            what = plan(row, now, is_live=row.overlap != "parallel" and self.store.is_live(row.last_status_id))
        except ScheduleError as error:
            self._complain(row, error)
            return LOOK_AHEAD
        if what.held and not what.runs and row.held_at is not None:
            return HELD_INTERVAL
        runs = [run_of(row, due, definition) for due in what.runs]
        if definition.rules.limit is not None:
            self.store.write_limits({run.limit_name for run in runs if run.limit_name}, definition.rules.limit)
        for status_id in self.store.order_runs(row, what, runs):
            log.info("ordered schedule=%s task=%s id=%s", row.name, row.task, status_id)
            self.ordered += 1
            if row.queue is not None:
                self.wake(row.queue, row.task)
        if what.skipped:
            log.info("skipped schedule=%s runs=%d", row.name, what.skipped)
        if len(what.runs) == MOST:
            log.warning("schedule=%s missed %d runs or more; no more are made up for", row.name, MOST)
        if what.held:
            return HELD_INTERVAL
        return (what.next_at - now).total_seconds() if what.next_at is not None else LOOK_AHEAD


def source_of(me: SupervisorRow, preloaded: Preloaded) -> changes.Source | None:
    """Return whose word it is what this process declares; None where its code could not be imported."""
    if preloaded.failure is not None:
        return None
    return changes.Source(application=preloaded.reference, version=me.version)


def run_of(row: ScheduleRow, due: datetime, definition: TaskDefinition) -> StatusRow:
    """Return the queued row of the run of one due time."""
    now, retry = clock.now(), definition.retry
    values: dict[str, Any] = dict.fromkeys(StatusRow._fields)
    values |= {name: getattr(row, name) for name in ("task", "settings", "metadata", "owner", "public", "queue")}
    values |= {"priority": row.priority, "start_method": row.start_method, "title": row.title or definition.title}
    values |= {"id": new_id(), "state": State.QUEUED, "attempt": 1, "engine": "local", "bound": 0}
    values |= {"run_after": due, "due_at": due, "once_key": run_key(row.id, due), "created_at": now, "updated_at": now}
    # `overlap` says how many there may be at once, so the task's own `unique` says nothing here.
    values |= {"max_attempts": retry.attempts, "unique_until_start": 0}
    values |= {"delete_on_completion": int(definition.rules.delete_on_completion)}
    limit = definition.rules.limit
    values["limit_name"] = limit.name(row.task, row.settings, row.owner) if limit is not None else None
    values |= {"line": line_of(row.queue, values["limit_name"]), "lane": lane_of(row.owner), "turn": 0, "later": 1}
    if retry.applies(Cause.SUPERVISOR_GONE):
        values |= {"lost_backoff": retry.delay(1)}
    return StatusRow(**values)
