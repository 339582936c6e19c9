"""A worker that rests is woken by whoever leaves a row to its queue, on its host and on others, and by the time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from forktask.limit import Limit
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.cli.examples import a_running
from tests.databases import database_url
from tests.process.commands import run
from tests.process.working import hears, log_of, move_away, take_bell, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, runtimes
from tests.store.examples import an_end, inserted, read
from tests.waiting import wait_until

RESTING = ("--sleep", "600")
"""So long that no look of its own explains what it does."""


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Runtime]:
    """Give a runtime on PostgreSQL, whose workers may be taken for those of another host."""
    with database_url("postgresql", tmp_path) as url, runtimes(url, tmp_path) as make:
        yield make()


def rests(runtime: Runtime, number: int = 0) -> None:
    """Return once a worker has found nothing to do."""
    wait_until(lambda: " idle\n" in log_of(runtime, number), PATIENCE, "a worker that rests")


def beats(runtime: Runtime) -> list[datetime]:
    """Return the heartbeats of workers, the newest last."""
    return sorted(row.heartbeat_at for row in runtime.store.supervisors() if row.kind == "worker")


def completed(runtime: Runtime, status: TaskStatus) -> None:
    """Return once it is; whoever looks otherwise than at the table would ring for what waits."""

    def is_completed() -> bool:
        row = runtime.store.get(status.id)
        return row is not None and row.state is State.COMPLETED

    wait_until(is_completed, PATIENCE, "its end")


def is_done_by_worker(runtime: Runtime) -> bool:
    status = zoo.nothing.enqueue()
    completed(runtime, status)
    supervisor_id = status.refresh().row.supervisor_id
    found = runtime.store.supervisor(supervisor_id) if supervisor_id is not None else None
    return found is not None and found.kind == "worker"


@pytest.mark.parametrize("moved", [move_away, take_bell])
def test_a_row_from_another_host_wakes_a_worker(far: Runtime, moved: object) -> None:
    with workers(far) as start:
        start(*RESTING)
        hears(far)
        rests(far)
        assert callable(moved)
        moved(far)
        assert is_done_by_worker(far)


def test_a_worker_that_lost_its_line_listens_again(far: Runtime) -> None:
    with workers(far) as start:
        start(*RESTING)
        hears(far)
        rests(far)
        move_away(far)
        assert listeners(far.settings.database_url, end=True) == 1
        hears(far, 2)
        assert is_done_by_worker(far)
        assert "does not hear other hosts any more" in log_of(far)


def test_nobody_else_pays_for_it(far: Runtime) -> None:
    with workers(far) as start:
        start(*RESTING, "-q", "mail")
        hears(far)
        ended(zoo.nothing.enqueue())  # by a supervisor, which has a connection for its statements alone
        assert listeners(far.settings.database_url) == 1
    wait_until(lambda: listeners(far.settings.database_url) == 0, PATIENCE, "the end of the line")


def listeners(url: str, *, end: bool = False) -> int:
    """Return how many connections listen; and end them."""
    engine = create_engine(url)
    asked = "pg_terminate_backend(pid)" if end else "true"
    mine = "datname = current_database() AND query LIKE 'LISTEN %' AND pid != pg_backend_pid()"
    try:
        with engine.connect() as connection:
            return len(connection.execute(text(f"SELECT {asked} FROM pg_stat_activity WHERE {mine}")).all())
    finally:
        engine.dispose()


def test_what_has_to_wait_for_its_time_begins_though_the_worker_rests(make_runtime_both: MakeRuntime) -> None:
    runtime = make_runtime_both()
    with workers(runtime) as start:
        start(*RESTING)
        rests(runtime)
        completed(runtime, zoo.nothing.using(run_after=2).enqueue())
        completed(runtime, zoo.nothing.enqueue())


def test_a_worker_that_rests_obeys_and_says_that_it_lives(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method="inline")
    with workers(runtime) as start:
        start(*RESTING)
        rests(runtime)
        before = runtime.store.supervisors()[0].heartbeat_at
        wait_until(lambda: runtime.store.supervisors()[0].heartbeat_at > before, PATIENCE, "a heartbeat")
        assert "stopped" in run(runtime, "stop-workers")
        assert "takes tasks" in run(runtime, "resume-workers")


def test_a_worker_does_not_rest_while_a_limit_keeps_something_back(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    store, limit = runtime.store, Limit(running=1, key="printer")
    with workers(runtime) as start:
        start(*RESTING)
        rests(runtime)
        elsewhere = a_running(store, queue="elsewhere", limit_name="printer", line=":printer")
        seen = inserted(store, task=zoo.nothing.name, queue="default", limit_name="printer", line=":printer", later=1)
        waiting = zoo.nothing.using(limit=limit).enqueue()
        wait_until(lambda: read(store, seen).later == 0, PATIENCE, "a look")
        before = beats(runtime)[-1]
        wait_until(lambda: beats(runtime)[-1] > before, PATIENCE, "the end of that look")
        store.save([], [an_end(elsewhere)])  # which rings nobody
        completed(runtime, waiting)


def test_a_recurring_task_runs_though_the_worker_rests(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(start_method="inline")
    with workers(runtime) as start:
        start(*RESTING)
        rests(runtime)
        command = ("add", zoo.nothing.name, "--name", "often", "--every", "1 second", "--queue", "default")
        run(runtime, "--app", "tests.zoo:", "schedule", *command)
        wait_until(lambda: log_of(runtime).count(" ended task=") > 1, PATIENCE, "two runs")


@pytest.mark.parametrize("sleep", ["0", "-1", "soon"])
def test_a_rest_that_is_none_is_refused(make_runtime: MakeRuntime, sleep: str) -> None:
    assert "--sleep" in run(make_runtime(), "worker", "--sleep", sleep, code=2)
