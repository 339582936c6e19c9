"""Workers that share queues, while they and their runners are killed again and again."""

from __future__ import annotations

import random
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from forktask.runtime import Runtime
from forktask.states import LIVE, State
from tests import zoo
from tests.process.working import StartWorker, workers
from tests.runtimes import MakeRuntime
from tests.waiting import wait_until

WORKERS = 3
ROWS = 35
"""Left at once; again as long as not enough was killed while they ran."""
BEGUN_AGAIN = 6
PATIENCE = 120.0
ROWS_A_RUNNER, ROWS_A_WORKER = 3, 16


@pytest.fixture
def left_each(make_runtime_each: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself, on each kind of database in turn."""
    return make_runtime_each(start_method="inline")


class Killer:
    """Kills a runner, or now and then a worker, whenever so many rows more have ended: so often on any machine.

    Of workers those that work, and the first time also the one that is to follow, while it starts.
    """

    def __init__(self, start: StartWorker) -> None:
        self.start = start
        self.living = [self.start_one() for _ in range(WORKERS)]
        self.kills = Counter[str]()
        self.chance = random.Random(7)
        self.next_runner, self.next_worker = ROWS_A_RUNNER, ROWS_A_WORKER

    @property
    def is_enough(self) -> bool:
        return self.kills["worker"] >= 4 and self.kills["child"] >= 10

    def start_one(self) -> subprocess.Popen[str]:
        return self.start("--processes", "3", ready=False)

    def __call__(self, ended: int) -> None:
        if ended < min(self.next_runner, self.next_worker):
            return
        working = [number for number in range(WORKERS) if _children(self.living[number])]
        if not working:
            return
        number = self.chance.choice(working)
        if ended >= self.next_worker:
            self.next_worker = ended + ROWS_A_WORKER
            for _ in range(1 if self.kills["worker"] else 2):
                self.kill_worker(number)
        else:
            self.next_runner = ended + ROWS_A_RUNNER
            self.kills["child"] += 1
            busy = _busy(self.living[number]) if self.kills["child"] % 3 else []
            self.kill_one(busy or _children(self.living[number]))

    def kill_one(self, children: list[psutil.Process]) -> None:
        with suppress(psutil.NoSuchProcess, IndexError):  # it has just ended
            self.chance.choice(children).send_signal(signal.SIGKILL)

    def kill_worker(self, number: int) -> None:
        self.living[number].kill()
        self.living[number].wait()
        self.living[number] = self.start_one()
        self.kills["worker"] += 1


def _children(worker: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the runners of a worker, busy or spare, and its nursery; while it starts, it has none of them."""
    return [child for child, name in _named_children(worker) if name.startswith(("task:", "forktask spare", "nursery"))]


def _busy(worker: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the runners of a worker that execute a task."""
    return [child for child, name in _named_children(worker) if name.startswith("task:")]


def _named_children(worker: subprocess.Popen[str]) -> list[tuple[psutil.Process, str]]:
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(worker.pid).children():
            with suppress(psutil.NoSuchProcess):
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append((child, child.name()))
    return found


def test_every_row_ends_once_and_never_runs_twice_at_a_time(left_each: Runtime, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    ids: list[UUID] = []
    store = left_each.store
    with workers(left_each) as start:
        kill = Killer(start)

        def is_done() -> bool:
            words = Counter(line.split()[0] for line in notes.read_text().splitlines())
            kill(words["end"])
            if store.find(state=LIVE, limit=1):
                return False
            if kill.is_enough and words["begin"] >= len(ids) + BEGUN_AGAIN:
                return True
            ids.extend(zoo.OftenKilledTask.enqueue({"notes": str(notes)}).id for _ in range(ROWS))
            return False

        wait_until(is_done, PATIENCE, "the end of all rows, and enough that was killed")
    for status_id in ids:
        row = store.get(status_id)
        assert row is not None and row.state is State.COMPLETED
        ends = [attempt.state for attempt in store.attempts(status_id)]
        assert ends == [State.QUEUED] * (row.attempt - 1) + [State.COMPLETED]
    _check(notes.read_text().splitlines(), ids)


def _check(lines: list[str], ids: list[UUID]) -> None:
    """Fail if a row ran twice at a time, or if one that had ended was run again."""
    ended: set[str] = set()
    begun: dict[str, int] = {}
    for line in lines:
        word, status_id, attempt = line.split()
        if word == "begin":
            assert int(attempt) > begun.get(status_id, 0), "an older attempt begins beside a newer one"
            begun[status_id] = int(attempt)
        else:
            assert int(attempt) == begun[status_id], "an older attempt goes on beside a newer one"
            ended.add(status_id)
    assert ended == {str(status_id) for status_id in ids}
