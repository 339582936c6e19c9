"""The whole at a glance: how many statuses are in which state, how long tasks take, who runs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median, quantiles
from typing import Any, Final

from forktask import clock
from forktask.operations.looking import Looker
from forktask.operations.supervising import watched
from forktask.queuename import ALL_QUEUES
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.selection import EVERYTHING
from forktask.states import LIVE, State

LAST_RUNS: Final = 200
"""How many completed runs of a task its times come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFigures:
    """One task.

    Attributes:
        counts: By state, of those ordered since the moment that was asked for.
        typical, long: Seconds that half, and nine tenths, of its last runs took at most; None: none completed.
    """

    task: str
    counts: dict[State, int]
    typical: float | None
    long: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What `stats` tells; `waiting_seconds`: how long the row has been due that has been so longest."""

    since: datetime
    states: dict[State, int]
    tasks: list[TaskFigures]
    waiting_seconds: float | None
    supervisors: int
    workers: int
    workers_stopped: bool

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "since": self.since.isoformat(),
            "states": {state.value: self.states.get(state, 0) for state in State},
            "tasks": [
                {
                    "task": one.task,
                    **{state.value: one.counts.get(state, 0) for state in State},
                    "median_seconds": one.typical,
                    "p90_seconds": one.long,
                }
                for one in self.tasks
            ],
            "waiting_seconds": self.waiting_seconds,
            "supervisors": self.supervisors,
            "workers": self.workers,
            "workers_stopped": self.workers_stopped,
        }


def figures(source: Runtime, since: datetime) -> Figures:
    """Count; all that is live, and of the rest what was ordered since then."""
    store = source.store
    by_task = store.counts_by_task(replace(EVERYTHING, since=since))
    for task, counts in store.counts_by_task(replace(EVERYTHING, states=LIVE)).items():
        by_task.setdefault(task, {}).update(counts)
    living = [one for one in watched(source) if one.death is None]
    oldest = store.waiting_since()
    now = clock.now()
    return Figures(
        since=since,
        states={state: sum(counts.get(state, 0) for counts in by_task.values()) for state in State},
        tasks=[_of_task(source, task, by_task[task]) for task in sorted(by_task)],
        waiting_seconds=None if oldest is None or oldest > now else (now - oldest).total_seconds(),
        supervisors=len(living),
        workers=sum(one.row.kind == "worker" for one in living),
        workers_stopped=ALL_QUEUES in store.paused_queues(),
    )


def _of_task(source: Runtime, task: str, counts: dict[State, int]) -> TaskFigures:
    found = source.store.durations(task, LAST_RUNS)
    typical = median(found) if found else None
    return TaskFigures(task=task, counts=counts, typical=typical, long=_ninth(found) if found else None)


def _ninth(found: Sequence[float]) -> float:
    return quantiles(found, n=10, method="inclusive")[8] if len(found) > 1 else found[0]


def running(looker: Looker, limit: int) -> list[StatusRow]:
    """Return what has an attempt under way, the newest first."""
    wanted = replace(EVERYTHING, states=frozenset({State.RUNNING, State.PAUSED}))
    return [row for row in looker.many(wanted, limit) if row.runner_pid is not None]
