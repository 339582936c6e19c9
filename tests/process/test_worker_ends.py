"""A worker that is to end does so, whatever the database does, and leaves to others what it will not do."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from forktask.rows import new_id
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.commands import environment, forked
from tests.process.keeping import KEEP
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, wait_message
from tests.waiting import wait_until

AWAY = {"FORKTASK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere", "FORKTASK_LOST_AFTER": "1"}


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself: what it enqueues waits for a worker."""
    return make_runtime(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def told(process: subprocess.Popen[str], code: int = 0) -> None:
    assert process.wait(PATIENCE) == code


@pytest.mark.parametrize("way", [["--drain"], ["--once"], ["--id", str(new_id())]])
def test_a_command_that_is_to_end_does_so_where_the_database_is_away(
    left: Runtime, start_worker: StartWorker, way: list[str]
) -> None:
    told(start_worker(*way, ready=False, **AWAY), code=1)
    assert "the database has been away" in log_of(left)


def test_a_worker_ends_by_time_and_by_its_stop_file_where_the_database_is_away(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    told(start_worker("--max-seconds", "0.1", ready=False, **AWAY))
    told(start_worker("--stop-file", str(tmp_path), ready=False, **AWAY))


def test_it_ends_after_what_runs_when_that_takes_too_much_memory(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    greedy = zoo.hoard.enqueue({"mebibytes": 300, "path": str(tmp_path / "go")})
    worker = start_worker("--processes", "1", "--max-memory", "200")
    wait_message(greedy, "has it")
    wait_until(lambda: "MiB are in use" in log_of(left), PATIENCE, "a word")
    waiting = zoo.nothing.enqueue()
    (tmp_path / "go").touch()
    told(worker)
    assert (greedy.refresh().state, waiting.refresh().state) == (State.COMPLETED, State.QUEUED)


def test_it_ends_when_a_runner_that_has_nothing_to_do_keeps_too_much_memory(
    left: Runtime, start_worker: StartWorker
) -> None:
    zoo.hoard.enqueue({"mebibytes": 300})
    told(start_worker(*KEEP, "--max-memory", "200", ready=False))
    assert "MiB are in use" in log_of(left)


def test_one_status_that_cannot_be_begun_is_told(left: Runtime, start_worker: StartWorker) -> None:
    later = zoo.nothing.using(run_after=3600.0).enqueue()
    unknown = zoo.echo.enqueue({})
    left.store.database.run(
        lambda cursor: cursor.execute("UPDATE forktask_status SET task = 'gone' WHERE task != ?", [later.task])
    )
    paused = zoo.nothing.enqueue()
    paused.pause()
    expected = {
        new_id(): "no status has this id",
        later.id: "it is due at",
        unknown.id: "no task is registered as 'gone'",
    }
    for number, (status_id, why) in enumerate([*expected.items(), (paused.id, "it is paused")]):
        told(start_worker("--id", str(status_id), ready=False), code=1)
        assert f"{status_id} was not begun: {why}" in log_of(left, number)


def test_told_three_times_it_leaves_though_the_database_takes_no_end(left: Runtime, start_worker: StartWorker) -> None:
    running = zoo.wait.enqueue({"path": "/nowhere"})
    worker = start_worker()
    wait_message(running, "waiting")
    path = left.settings.database_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for number in range(1, 4):
            worker.send_signal(signal.SIGTERM)
            wait_until(lambda: log_of(left).count(" told to end") == number, PATIENCE, "a word")  # noqa: B023
        told(worker)
    assert f"not written: id={running.id}" in log_of(left)


def handed_over(runtime: Runtime, settings: dict[str, Any]) -> TaskStatus:
    """Order a task with private arguments in the environment of the worker, which is a part of the address."""

    def order() -> None:
        print(zoo.PrivateTask.initiate(settings).id)

    with forked(order, environment(runtime), stdout=subprocess.PIPE) as process:
        found, _ = process.communicate(timeout=PATIENCE)
    return TaskStatus.get(found.strip())


def test_a_worker_that_will_end_by_itself_takes_no_arguments_that_are_nowhere_else(
    left: Runtime, start_worker: StartWorker
) -> None:
    worker = start_worker("--max-tasks", "1")
    private = handed_over(left, {"fails_until": 2})
    assert ended(private).state is State.COMPLETED
    assert private.row.supervisor_id != worker_id(left)
    zoo.nothing.enqueue()
    told(worker)


def test_told_to_end_it_still_does_what_it_was_handed_over(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    worker = start_worker("--processes", "1")
    first = handed_over(left, {"path": str(go), "fails_until": 2})
    wait_message(first, "waiting")
    second = handed_over(left, {"fails_until": 3})
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: " told to end" in log_of(left), PATIENCE, "a word")
    go.touch()
    told(worker)
    assert [status.refresh().state for status in (first, second)] == [State.COMPLETED] * 2
    assert {first.row.supervisor_id, second.row.supervisor_id} == {worker_id(left)}


def worker_id(runtime: Runtime) -> UUID:
    rows = runtime.store.database.run(
        lambda cursor: cursor.execute("SELECT id FROM forktask_supervisor WHERE kind = 'worker'").fetchall()
    )
    return UUID(rows[0][0])
