"""Workers whose runners are kept, for tests."""

from __future__ import annotations

from pathlib import Path

from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.working import StartWorker
from tests.runtimes import PATIENCE

KEEP = ("--processes", "1", "--tasks-per-runner", "1000")


def told(*leave: str | None) -> list[TaskStatus]:
    return [zoo.tell_process.enqueue({"n": number, "leave": what}) for number, what in enumerate(leave)]


def drained(start: StartWorker, *arguments: str) -> None:
    assert start("--drain", *(arguments or KEEP), ready=False).wait(3 * PATIENCE) == 0


def pids(statuses: list[TaskStatus]) -> list[int]:
    assert {status.refresh().state for status in statuses} == {State.COMPLETED}, [one.row for one in statuses]
    return [status.result[0] for status in statuses]


def journal(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines()) if path.exists() else []


def noting(path: Path, count: int) -> list[TaskStatus]:
    return zoo.note_start.enqueue_many([{"path": str(path), "n": number} for number in range(count)])


def once_each(statuses: list[TaskStatus], path: Path) -> None:
    """Assert that each has completed, in one attempt, and ran once."""
    assert {status.refresh().state for status in statuses} == {State.COMPLETED}
    assert {len(status.attempts()) for status in statuses} == {1}
    assert journal(path) == sorted(str(status.settings["n"]) for status in statuses)
