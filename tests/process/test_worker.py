"""`forktask worker`: takes from its queues, in their order, and ends as it is told."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forktask.limit import Limit
from forktask.rows import new_id
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from forktask.store import ALL_QUEUES
from tests import zoo
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, wait_for, wait_message
from tests.waiting import wait_until


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself: what it enqueues waits for a worker."""
    return make_runtime(start_method="inline")


@pytest.fixture
def left_each(make_runtime_each: MakeRuntime) -> Runtime:
    """As `left`, on each kind of database in turn."""
    return make_runtime_each(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def told(process: subprocess.Popen[str], *, code: int = 0) -> None:
    """Return once a worker has ended by itself."""
    assert process.wait(PATIENCE) == code


def started(runtime: Runtime) -> list[str]:
    """Return the ids that a worker began, in order."""
    lines = [line for line in log_of(runtime).splitlines() if " started task=" in line]
    return [line.partition(" id=")[2].split()[0] for line in lines]


def queued(queue: str = "default", count: int = 1, priority: int = 50) -> list[TaskStatus]:
    configured = zoo.echo.using(queue=queue, priority=priority)
    return [configured.enqueue({"number": number}) for number in range(count)]


def test_a_worker_empties_its_queue_and_ends(left_each: Runtime) -> None:
    statuses = queued(count=5)
    (other,) = queued("other")
    with workers(left_each) as start:
        told(start("--drain", ready=False))
    for number, status in enumerate(statuses):
        assert status.refresh().state is State.COMPLETED
        assert status.result == {"number": number}
    assert other.refresh().state is State.QUEUED
    assert left_each.store.supervisors() == []  # it said that it left


def test_what_is_due_first_by_priority_and_time_begins_first(left: Runtime, start_worker: StartWorker) -> None:
    low, normal, high = (queued(priority=priority, count=2) for priority in (10, 50, 90))
    told(start_worker("--drain", "--processes", "1", ready=False))
    assert started(left) == [str(status.id) for status in [*high, *normal, *low]]


def test_queues_are_emptied_in_the_order_in_which_they_are_named(left: Runtime, start_worker: StartWorker) -> None:
    first, second = queued("first", 3, priority=1), queued("second", 3, priority=99)
    told(start_worker("--drain", "--processes", "1", "-q", "first", "-q", "second", ready=False))
    assert started(left) == [str(status.id) for status in [*first, *second]]


def test_queues_with_weights_get_their_shares(left: Runtime, start_worker: StartWorker) -> None:
    often = {str(status.id) for status in queued("often", 9)}
    queued("rarely", 9)
    told(start_worker("--drain", "--processes", "1", "-q", "often:3", "-q", "rarely:1", ready=False))
    order = [one in often for one in started(left)]
    assert len(order) == 18
    assert sum(order[:4]) == sum(order[4:8]) == sum(order[8:12]) == 3


def test_a_worker_is_woken_by_who_leaves_a_row(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    with workers(runtime) as start:
        start(FORKTASK_APP="tests.zoo_apps.rare:")  # looks once an hour by itself
        for number in range(3):
            assert ended(zoo.echo.enqueue({"number": number})).result == {"number": number}
        assert len(started(runtime)) == 3


def test_a_queue_is_its_workers_while_that_lives(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    ended(zoo.nothing.initiate())  # there is a supervisor
    with workers(runtime) as start:
        worker = start()
        assert ended(zoo.echo.enqueue({})).row.supervisor_id == worker_id(runtime)
        worker.kill()
        worker.wait(PATIENCE)
        assert ended(zoo.echo.enqueue({})).row.supervisor_id != worker_id(runtime)


def worker_id(runtime: Runtime) -> object:
    rows = runtime.store.database.run(lambda cursor: cursor.execute(WORKERS).fetchall())
    (found,) = [row[0] for row in rows]
    return type(new_id())(found)


WORKERS = "SELECT id FROM forktask_supervisor WHERE kind = 'worker'"


def test_told_to_end_it_finishes_what_runs_and_takes_nothing_more(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    running = zoo.wait.enqueue({"path": str(go)})
    worker = start_worker("--processes", "2")
    wait_message(running, "waiting")
    worker.send_signal(signal.SIGTERM)
    (later,) = queued()
    go.touch()
    told(worker)
    assert running.refresh().state is State.COMPLETED
    assert later.refresh().state is State.QUEUED


@pytest.mark.parametrize("task", [zoo.wait, zoo.stubborn])
def test_told_twice_it_interrupts_and_told_three_times_it_kills(
    left: Runtime, start_worker: StartWorker, task: Any
) -> None:
    running = task.using(queue="default").enqueue({"path": "/nowhere"})
    worker = start_worker(FORKTASK_STOP_TIMEOUT="600")
    wait_for(running, lambda one: one.message)
    for number in range(1, 3 if task is zoo.wait else 4):
        worker.send_signal(signal.SIGINT)
        wait_until(lambda: log_of(left).count(" told to end") == number, PATIENCE, "a word")  # noqa: B023
    told(worker)
    assert running.refresh().state is State.FAILED
    assert running.cause is Cause.INTERRUPTED


def test_it_ends_after_so_many_tasks(left: Runtime, start_worker: StartWorker) -> None:
    statuses = queued(count=4)
    told(start_worker("--max-tasks", "3", "--processes", "2", ready=False))
    assert [status.refresh().state for status in statuses] == [State.COMPLETED] * 3 + [State.QUEUED]


def test_it_takes_one_batch_for_cron(left: Runtime, start_worker: StartWorker) -> None:
    statuses = queued(count=4)
    told(start_worker("--once", "--processes", "2", ready=False))
    assert [status.refresh().state for status in statuses] == [State.COMPLETED] * 2 + [State.QUEUED] * 2
    told(start_worker("--once", "-q", "empty", ready=False))


def test_it_ends_after_so_many_failures(left: Runtime, start_worker: StartWorker) -> None:
    statuses = [zoo.fail.enqueue() for _ in range(4)]
    told(start_worker("--max-failures", "2", "--processes", "1", ready=False))
    assert [status.refresh().state for status in statuses] == [State.FAILED] * 2 + [State.QUEUED] * 2


def test_it_runs_one_status_by_its_id(left: Runtime, start_worker: StartWorker) -> None:
    before, chosen = queued("elsewhere", 2)
    told(start_worker("--id", str(chosen.id), ready=False))
    assert chosen.refresh().state is State.COMPLETED
    assert before.refresh().state is State.QUEUED
    left.store.limit_queue("default", Limit(running=1))
    queued()
    told(start_worker("--id", str(before.pause().id), ready=False), code=1)  # whatever waits elsewhere


def test_it_ends_when_the_stop_file_is_there_and_when_it_was_idle(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    stop = tmp_path / "stop"
    worker = start_worker("--stop-file", str(stop))
    stop.touch()
    told(worker)
    told(start_worker("--max-idle", "1", ready=False))


def test_it_leaves_tasks_alone_that_it_is_to_ignore(left: Runtime, start_worker: StartWorker) -> None:
    (ignored,), taken = queued(), zoo.nothing.enqueue()
    told(start_worker("--drain", "--ignore", "echo", "--ignore", "nothin", ready=False))
    assert (ignored.refresh().state, taken.refresh().state) == (State.QUEUED, State.COMPLETED)
    assert "no task is registered as 'nothin'; is its module imported by the application; did you mean" in log_of(left)


def test_a_second_exclusive_worker_of_the_same_queues_is_refused(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker("--exclusive", "-q", "a", "-q", "b")
    told(start_worker("--exclusive", "-q", "b", "-q", "a", ready=False), code=3)
    assert "another worker of b, a runs here" in log_of(left, 1)
    told(start_worker("--exclusive", "-q", "a", "--max-idle", "1", ready=False))
    elsewhere = {"FORKTASK_DATABASE_URL": f"sqlite:///{tmp_path}/other.sqlite"}
    told(start_worker("--exclusive", "-q", "a", "-q", "b", "--max-idle", "1", ready=False, **elsewhere))


def test_a_queue_that_is_held_up_waits(left: Runtime, start_worker: StartWorker) -> None:
    (status,), (other,) = queued(), queued("other")
    left.store.pause_queue("default")
    told(start_worker("--drain", "-q", "default", "-q", "other", ready=False))
    assert (status.refresh().state, other.refresh().state) == (State.QUEUED, State.COMPLETED)
    assert "queue=default is paused" in log_of(left)
    left.store.resume_queue("default")
    left.store.pause_queue(ALL_QUEUES)
    told(start_worker("--drain", ready=False))
    assert status.refresh().state is State.QUEUED
    assert "stop-workers: takes nothing" in log_of(left, 1)
    left.store.resume_queue(ALL_QUEUES)
    told(start_worker("--drain", ready=False))
    assert status.refresh().state is State.COMPLETED


@pytest.mark.parametrize("queue", ["a:0", "*", ":3", "a:b", ""])
def test_a_wrong_queue_is_named(left: Runtime, start_worker: StartWorker, queue: str) -> None:
    told(start_worker("--queue", queue, ready=False), code=2)
    assert "is no queue; say NAME or NAME:WEIGHT" in log_of(left)


def test_an_application_that_cannot_be_imported_ends_the_worker_and_harms_no_row(
    left: Runtime, start_worker: StartWorker
) -> None:
    (status,) = queued()
    assert start_worker(ready=False, FORKTASK_APP="tests.nowhere:app").wait(PATIENCE) != 0
    assert "tests.nowhere" in log_of(left)
    assert status.refresh().state is State.QUEUED
