"""Runners that a worker has forked ahead for many short tasks."""

from __future__ import annotations

from forktask.states import State
from tests.process.keeping import told
from tests.process.working import workers
from tests.runtimes import PATIENCE, MakeRuntime, runners_of, the_supervisor
from tests.waiting import wait_until


def test_after_many_short_tasks_a_worker_has_no_more_spares_than_it_should(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method="inline")
    statuses = told(*[None] * 40)
    with workers(runtime) as start:
        start("--processes", "3")
        wait_until(lambda: not runtime.store.find(state=[State.QUEUED, State.RUNNING]), PATIENCE, "their ends")
        worker = the_supervisor(runtime.store)
        wait_until(lambda: len(runners_of(worker)) <= runtime.settings.spare_runners, PATIENCE, "one spare")
    assert {len(status.attempts()) for status in statuses} == {1}
