"""Limits with real workers: how many run at once, how many begin in a time, and whose turn it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from forktask import clock
from forktask.errors import LaunchError
from forktask.limit import Limit
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.databases import database_url, order
from tests.process.working import StartWorker, hears, log_of, move_away, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, runner_of, runtimes, wait_for, wait_message
from tests.waiting import wait_until

RARE = "tests.zoo_apps.rare:"
"""A worker that looks once an hour by itself: what it takes sooner it was told of, or had room for."""
RESTING = ("--sleep", "3600")
ONE = Limit(running=1, key="printer")


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself."""
    return make_runtime(start_method="inline")


@pytest.fixture
def left_each(make_runtime_each: MakeRuntime) -> Runtime:
    """As `left`, on each kind of database in turn."""
    return make_runtime_each(start_method="inline")


@pytest.fixture
def left_both(make_runtime_both: MakeRuntime) -> Runtime:
    """As `left`, on a file and on a server in turn."""
    return make_runtime_both(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def all_ended(statuses: Sequence[TaskStatus]) -> None:
    """Return once all are completed; fail if one has ended otherwise."""
    store = statuses[0]._runtime.store

    def are_completed() -> bool:
        rows = store.find(ids=[status.id for status in statuses])
        states = {row.state for row in rows}
        assert not states - {State.QUEUED, State.RUNNING, State.COMPLETED}, [row.error for row in rows]
        return states == {State.COMPLETED}

    wait_until(are_completed, 2 * PATIENCE, f"the end of {len(statuses)}")
    for status in statuses:
        status.refresh()


def test_no_more_run_at_once_than_a_limit_and_that_of_the_queue_let_through(left_each: Runtime, tmp_path: Path) -> None:
    of_limit, of_queue = tmp_path / "limit", tmp_path / "queue"
    of_limit.mkdir()
    of_queue.mkdir()
    left_each.store.limit_queue("narrow", Limit(running=2))
    limited = zoo.within.using(limit=Limit(running=2, key="settings.folder"))
    statuses = limited.enqueue_many([{"folder": str(of_limit), "most": 2}] * 7)
    statuses += zoo.within.using(queue="narrow").enqueue_many([{"folder": str(of_queue), "most": 2}] * 7)
    with workers(left_each) as start:
        for _ in range(2):
            start("-q", "default", "-q", "narrow", "--processes", "4", ready=False)
        all_ended(statuses)


def test_no_more_begin_than_a_rate_lets_through(left_both: Runtime) -> None:
    left_both.store.limit_queue("slow", Limit(rate=4, per=1))
    begin = clock.now()
    statuses = [
        *zoo.nothing.using(limit=Limit(rate=4, per=1)).enqueue_many([{}] * 7),
        *zoo.nothing.using(queue="slow").enqueue_many([{}] * 7),
    ]
    with workers(left_both) as start:
        for _ in range(2):
            start("-q", "default", "-q", "slow", ready=False)
        all_ended(statuses)
    for seven in (statuses[:7], statuses[7:]):
        last = max(status.row.finished_at for status in seven if status.row.finished_at)
        assert (last - begin).total_seconds() >= 6 / 4


def test_what_a_rate_keeps_back_begins_when_it_may(left: Runtime, start_worker: StartWorker) -> None:
    statuses = zoo.nothing.using(limit=Limit(rate=5, per=1)).enqueue_many([{}] * 4)
    start_worker(*RESTING, FORKTASK_APP=RARE)
    all_ended(statuses)


def test_a_runner_that_is_killed_frees_its_place(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    held, waiting = zoo.wait.using(limit=ONE).enqueue({"path": "/nowhere"}), zoo.nothing.using(limit=ONE).enqueue()
    start_worker(*RESTING, FORKTASK_APP=RARE)
    wait_message(held, "waiting")
    assert waiting.refresh().state is State.QUEUED
    os.kill(runner_of(held).pid, signal.SIGKILL)
    all_ended([waiting])
    assert held.refresh().cause is Cause.SIGNAL


def test_a_worker_that_is_killed_frees_its_places(left_both: Runtime) -> None:
    held, waiting = zoo.wait.using(limit=ONE).enqueue({"path": "/nowhere"}), zoo.nothing.using(limit=ONE).enqueue()
    with workers(left_both) as start:
        first = start()
        wait_message(held, "waiting")
        start()
        first.send_signal(signal.SIGKILL)
        all_ended([waiting])
    assert held.refresh().state is State.LOST


def test_who_frees_a_place_starts_what_waits_for_it(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    limited = zoo.within.using(limit=ONE)
    statuses = limited.enqueue_many([{"folder": str(tmp_path), "most": 1, "seconds": 0}] * 6)
    start_worker(*RESTING, FORKTASK_APP=RARE)
    all_ended(statuses)


@pytest.mark.parametrize(
    ("far", "of_queue", "ends"),
    [(False, False, False), (False, True, False), (False, False, True), (True, True, False)],
)
def test_who_frees_a_place_tells_those_who_take_what_it_does_not(
    tmp_path: Path, far: bool, of_queue: bool, ends: bool
) -> None:
    go = tmp_path / "go"
    with (
        database_url("postgresql" if far else "sqlite", tmp_path) as url,
        runtimes(url, tmp_path) as make,
        workers(runtime := make()) as start,
    ):
        limit = None if of_queue else ONE
        if of_queue:
            runtime.store.limit_queue("narrow", Limit(running=1))
        first = start("-q", "narrow", "--ignore", zoo.nothing.name, *RESTING, FORKTASK_APP=RARE)
        start("-q", "narrow", "-q", "wide", "--ignore", zoo.wait.name, *RESTING, FORKTASK_APP=RARE)
        ended(zoo.nothing.using(queue="wide").enqueue())
        held = zoo.wait.using(queue="narrow", limit=limit).enqueue({"path": str(go)})
        wait_message(held, "waiting")
        waiting = zoo.nothing.using(queue="narrow", limit=limit).enqueue()
        ended(zoo.nothing.using(queue="wide").enqueue())  # it has seen both
        assert waiting.refresh().state is State.QUEUED
        if ends:
            first.terminate()
        if far:
            hears(runtime, number=1)
            move_away(runtime)
        go.touch()
        all_ended([held, waiting])


def test_what_is_initiated_waits_for_its_limit_too(runtime_each: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    first = zoo.wait.using(limit=ONE).initiate({"path": str(go)})
    wait_message(first, "waiting")
    second, free = zoo.echo.using(limit=ONE).initiate({"n": 2}), zoo.echo.initiate({"n": 3})
    assert ended(free).result == {"n": 3}
    assert second.refresh().state is State.QUEUED
    assert second.place is not None
    assert second.place.number == 1
    go.touch()
    assert ended(second).result == {"n": 2}


def test_thousands_that_wait_for_a_limit_hold_nobody_up(left_both: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    zoo.wait.using(limit=ONE, priority=60).enqueue({"path": str(go)})
    zoo.nothing.using(limit=ONE, priority=60).enqueue_many([{}] * 3000)
    others = zoo.nothing.enqueue_many([{}] * 3)
    with workers(left_both) as start:
        start("--processes", "2")
        all_ended(others)
        assert left_both.store.queue_counts()["default"] == (3000, 1)
        go.touch()


def test_a_worker_that_empties_its_queue_waits_for_what_a_rate_keeps_back(
    left: Runtime, start_worker: StartWorker
) -> None:
    statuses = zoo.nothing.using(limit=Limit(rate=2, per=1)).enqueue_many([{}] * 4)
    zoo.nothing.using(queue="other", limit=Limit(rate=1, per=3600, key="other")).enqueue_many([{}] * 2)
    statuses += zoo.nothing.using(queue="none", limit=Limit(rate=1, per=3, key="none")).enqueue_many([{}] * 2)
    order(left.settings.database_url, "UPDATE forktask_status SET queue = NULL WHERE queue = 'none'")  # as if initiated
    assert start_worker("--drain", ready=False).wait(PATIENCE) == 0
    all_ended(statuses)


def test_owners_take_turns(left: Runtime, start_worker: StartWorker) -> None:
    many = zoo.echo.enqueue_many([{"n": number} for number in range(6)], owner="bob")
    few = [zoo.echo.enqueue({"n": 0}, owner=owner) for owner in ("eve", "joe")]
    assert start_worker("--drain", "--processes", "1", ready=False).wait(PATIENCE) == 0
    lines = [line for line in log_of(left).splitlines() if " started task=" in line]
    begun = [line.partition(" id=")[2].split()[0] for line in lines]
    assert begun == [str(one.id) for one in [many[0], many[1], *few, *many[2:]]]


def test_a_retried_row_counts_anew(runtime: Runtime) -> None:
    failed = ended(zoo.fail.using(limit=ONE).initiate())
    failed.retry()
    wait_for(failed, lambda one: one.row.attempt == 2 and one.is_final)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_cannot_wait_is_refused(runtime: Runtime, method: str) -> None:
    task: Any = zoo.PrivateTask if method == "spawn" else zoo.nothing
    before = len(runtime.store.find(limit=1000))
    with pytest.raises(LaunchError, match="has a limit"):
        task.using(limit=ONE, start_method=method).initiate()
    assert len(runtime.store.find(limit=1000)) == before


def test_where_nothing_is_waited_for_a_limit_does_not_count(left: Runtime) -> None:
    statuses = [zoo.echo.using(limit=Limit(rate=1, per=3600)).initiate({"n": number}) for number in range(3)]
    assert [status.state for status in statuses] == [State.COMPLETED] * 3
