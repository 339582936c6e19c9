"""`forktask queues` and what holds queues and workers up, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forktask.runtime import Runtime
from forktask.states import State
from forktask.store import Store
from tests import zoo
from tests.process.commands import run
from tests.process.working import workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, wait_message
from tests.waiting import wait_until


@pytest.fixture
def left_each(make_runtime_each: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself, on each kind of database in turn."""
    return make_runtime_each(start_method="inline")


@pytest.fixture
def left_both(make_runtime_both: MakeRuntime) -> Runtime:
    """As `left_each`, on a file and on a server."""
    return make_runtime_both(start_method="inline")


def test_workers_are_stopped_and_resumed_and_say_that_they_obey(left_both: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with workers(left_both) as start:
        start("-q", "mail")
        start()
        running = zoo.wait.enqueue({"path": str(go)})
        wait_message(running, "waiting")
        told = run(left_both, "stop-workers")
        assert told.count("stopped") == 2
        assert "mail" in told
        later = zoo.nothing.enqueue()
        start("--drain", ready=False).wait(PATIENCE)  # a new one takes nothing either
        assert later.refresh().state is State.QUEUED
        go.touch()
        wait_until(lambda: running.refresh().state is State.COMPLETED, PATIENCE, "the end of what ran")
        assert "all workers are told to take nothing" in run(left_both, "queues")
        assert run(left_both, "resume-workers").count("takes tasks") == 2
        wait_until(lambda: later.refresh().state is State.COMPLETED, PATIENCE, "the end of what waited")


def test_a_worker_that_does_not_answer_is_named(make_runtime: MakeRuntime) -> None:
    left = make_runtime(start_method="inline")
    with workers(left) as start:
        worker = start()
        worker.send_signal(19)
        try:
            assert "no answer" in run(left, "stop-workers", "--wait", "0.1", code=4)
        finally:
            worker.send_signal(18)


def test_queues_are_shown_with_what_waits_and_who_serves_them(left_each: Runtime) -> None:
    for queue in ("mail", "mail", "reports"):
        zoo.nothing.using(queue=queue).enqueue()
    assert "reports is paused" in run(left_each, "pause-queue", "reports")
    assert json.loads(run(left_each, "queues", "--json")) == {
        "workers_stopped": False,
        "queues": [
            {"name": "mail", "waiting": 2, "running": 0, "paused": False, "workers": 0, "limit": None},
            {"name": "reports", "waiting": 1, "running": 0, "paused": True, "workers": 0, "limit": None},
        ],
    }
    assert "paused" in run(left_each, "queues")
    assert run(left_each, "resume-queue", "reports") == "reports goes on\n"
    assert run(left_each, "resume-queue", "reports") == "reports was not paused\n"


def test_a_queue_is_limited_by_command(left_each: Runtime) -> None:
    left_each.store.ensure_tables()
    told = run(left_each, "limit-queue", "mail", "--running", "5", "--rate", "100", "--per", "30")
    assert told == "mail: 5 at once, 100 in 30 s\n"
    (queue,) = json.loads(run(left_each, "queues", "--json"))["queues"]
    assert queue["limit"] == {"running": 5, "rate": 100, "per": 30.0}
    assert "5 at once, 100 in 30 s" in run(left_each, "queues")
    assert run(left_each, "limit-queue", "mail", "--none") == "mail: no limit\n"
    assert json.loads(run(left_each, "queues", "--json"))["queues"] == []


@pytest.mark.parametrize(
    "wrong", [[], ["--running", "1", "--none"], ["--rate", "0"], ["--rate", "5", "--per", "0"], ["--rate", "9999"]]
)
def test_a_limit_that_is_none_is_refused(make_runtime: MakeRuntime, wrong: list[str]) -> None:
    runtime = make_runtime()
    run(runtime, "limit-queue", "mail", *wrong, *(["--per", "1"] if wrong == ["--rate", "9999"] else []), code=2)
    assert runtime.store.queue_rows() == []


def test_a_queue_that_goes_on_is_looked_at_where_nobody_lives(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method="inline")
    status = zoo.nothing.enqueue()
    runtime.store.pause_queue("default")
    run(runtime, "resume-queue", "default")
    wait_until(lambda: status.refresh().state is State.COMPLETED, PATIENCE, "the end of what waited")


def test_where_workers_are_stopped_nobody_takes_from_a_queue(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    runtime.store.ensure_tables()
    run(runtime, "stop-workers")
    waiting = zoo.nothing.enqueue()  # its supervisor is told at once
    for _ in range(2):
        ended(zoo.nothing.initiate())  # and of these later
    assert waiting.refresh().state is State.QUEUED
    run(runtime, "resume-workers")
    assert ended(waiting).state is State.COMPLETED


@pytest.mark.parametrize("name", ["*", "", "x" * 101, "a:b", "a\nb"])
def test_a_name_that_is_no_queues_is_refused(make_runtime: MakeRuntime, name: str) -> None:
    assert "is no queue" in run(make_runtime(), "pause-queue", name, code=2)


def test_without_a_worker_that_is_said(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    Store(runtime.settings.database_url).ensure_tables()
    assert "the workers were not stopped" in (said := run(runtime, "resume-workers"))
    assert "no worker lives" in said
