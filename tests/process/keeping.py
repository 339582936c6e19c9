"""Workers whose runners are kept, for tests."""

from __future__ import annotations

from pathlib import Path

from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.working import StartWorker, log_of
from tests.runtimes import PATIENCE

KEEP = ("--processes", "1", "--tasks-per-runner", "1000")
QUICK = {"FORKTASK_APP": "tests.zoo_apps.quick:"}
"""A worker in which rows lie ready behind a task, on the slowest machine."""


def told(*leave: str | None) -> list[TaskStatus]:
    return [zoo.tell_process.enqueue({"n": number, "leave": what}) for number, what in enumerate(leave)]


def drained(start: StartWorker, *arguments: str, **more: str) -> None:
    assert start("--drain", *(arguments or KEEP), ready=False, **more).wait(3 * PATIENCE) == 0


def gave_back(runtime: Runtime) -> int:
    """Return how often the first worker took rows back that lay ready for a runner."""
    return log_of(runtime).count(" gave back ")


def pids(statuses: list[TaskStatus]) -> list[int]:
    assert {status.refresh().state for status in statuses} == {State.COMPLETED}, [one.row for one in statuses]
    return [status.result[0] for status in statuses]


def journal(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines()) if path.exists() else []


def noting(path: Path, count: int, seconds: float = 0.0) -> list[TaskStatus]:
    settings = {"path": str(path), "seconds": seconds}
    return zoo.note_start.enqueue_many([settings | {"n": number} for number in range(count)])


def once_each(statuses: list[TaskStatus], path: Path) -> None:
    """Assert that each has completed, in one attempt, and ran once."""
    assert {status.refresh().state for status in statuses} == {State.COMPLETED}
    assert {len(status.attempts()) for status in statuses} == {1}
    assert journal(path) == sorted(str(status.settings["n"]) for status in statuses)
