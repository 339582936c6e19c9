"""Signals of tasks and workers: who hears them where, and that a receiver harms nobody."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forktask import Cause, State, TaskStatus, hooks, process, registry, signals
from forktask.call import Call, row_of
from forktask.operations.looking import Looker
from forktask.runtime import Runtime
from forktask.states import StartMethod
from tests.process import heard
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, the_supervisor, wait_message
from tests.waiting import wait_until

APP = {"FORKTASK_APP": "tests.process.heard:"}


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file in which the receivers of the application note what they hear."""
    path = tmp_path / "told"
    monkeypatch.setenv(heard.VARIABLE, str(path))
    return path


@pytest.fixture
def left(told: Path, make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself, with receivers in its workers."""
    return make_runtime(start_method="inline", app="tests.process.heard:")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of(path: Path, status: TaskStatus) -> list[tuple[str, int, str | None]]:
    """Return what was told of one status: signal, attempt, cause."""
    found = [line for line in lines(path) if line.get("id") == str(status.id)]
    return [(line["signal"], line["attempt"], line.get("cause")) for line in found]


def test_a_task_that_completes_is_told_of_by_its_runner(told: Path, left: Runtime, start_worker: StartWorker) -> None:
    status = heard.fine.enqueue({"n": 7})
    assert start_worker("--drain", ready=False, **APP).wait(PATIENCE) == 0
    assert of(told, status) == [("task-started", 1, None), ("task-completed", 1, None)]
    first, last = [line for line in lines(told) if line.get("id")]
    assert first["pid"] == last["pid"] == status.attempts()[0].pid
    assert (first["sender"], last["result"]) == (heard.fine.name, {"n": 7})


@pytest.mark.parametrize("way", ["raise", "kill"])
def test_each_way_to_fail_is_told_when_it_is_written(
    told: Path, left: Runtime, start_worker: StartWorker, way: str
) -> None:
    status = heard.fails.enqueue({"way": way})
    assert start_worker("--drain", ready=False, **APP).wait(PATIENCE) == 0
    cause = {"raise": Cause.EXCEPTION, "kill": Cause.SIGNAL}[way]
    expected = [("task-started", 1, None), ("task-retried", 1, cause.value)]
    expected += [("task-started", 2, None), ("task-failed", 2, cause.value)]
    assert sorted(of(told, status)) == sorted(expected)
    (failed,) = [line for line in lines(told) if line["signal"] == "task-failed"]
    assert failed["state"] == State.FAILED
    assert failed["pid"] not in [attempt.pid for attempt in status.attempts()]


def test_the_supervisor_of_the_web_processes_tells_too(told: Path, make_runtime: MakeRuntime) -> None:
    make_runtime(app="tests.process.heard:")
    status = ended(heard.fails.initiate({"way": "raise"}))
    wait_until(lambda: ("task-failed", 2, Cause.EXCEPTION.value) in of(told, status), PATIENCE, "a word")


GONE = Cause.SUPERVISOR_GONE.value


def test_what_is_lost_is_told_by_who_notices(told: Path, make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(app="tests.process.heard:")
    status = heard.waits.initiate({"path": str(tmp_path / "go")})
    wait_message(status, "waiting")
    process.send_signal(the_supervisor(runtime.store), signal.SIGKILL)
    wait_until(lambda: status.refresh().state is State.LOST, PATIENCE, "its loss")
    wait_until(lambda: ("task-failed", 1, GONE) in of(told, status), PATIENCE, "a word")
    assert [name for name, *_ in of(told, status)] == ["task-started", "task-failed"]
    (failed,) = [line for line in lines(told) if line["signal"] == "task-failed"]
    assert failed["state"] == State.LOST
    assert failed["pid"] != os.getpid(), "a request waits for no receiver"


def test_what_was_said_to_a_supervisor_before_it_was_told_to_end_is_told(told: Path, make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(app="tests.process.heard:")
    status = ended(heard.fine.initiate({}))
    supervisor = the_supervisor(runtime.store)
    process.send_signal(supervisor, signal.SIGSTOP)
    runtime.doorbell.close()  # as if it were another process, whose connection is not yet accepted
    end = hooks.described(heard.fine.name, status.id, 1, State.LOST, Cause.SUPERVISOR_GONE)
    assert runtime.doorbell.ring(["tell", end])
    process.send_signal(supervisor, signal.SIGTERM)
    process.send_signal(supervisor, signal.SIGCONT)
    wait_until(lambda: ("task-failed", 1, GONE) in of(told, status), PATIENCE, "a word")


def test_a_worker_tells_what_follows_the_death_of_another(
    told: Path, left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    status = heard.waits_once.enqueue({"path": str(tmp_path / "go")})
    first = start_worker(**APP)
    wait_message(status, "waiting")
    first.kill()
    assert start_worker("--drain", ready=False, **APP).wait(PATIENCE) == 0
    assert status.refresh().state is State.COMPLETED
    assert ("task-retried", 1, GONE) in of(told, status)


@pytest.mark.parametrize("here", [True, False])
def test_who_marks_what_is_lost_and_has_no_supervisor_tells_itself(
    told: Path, left: Runtime, start_worker: StartWorker, tmp_path: Path, capfd: pytest.CaptureFixture[str], here: bool
) -> None:
    status = heard.waits.enqueue({"path": str(tmp_path / "go")})
    worker = start_worker(**APP)
    wait_message(status, "waiting")
    worker.kill()
    worker.wait(PATIENCE)
    bound = row_of(Call(definition=registry.get(heard.fine.name), settings={}), bound_to=StartMethod.FORKSERVER)
    bound = bound._replace(created_at=bound.created_at - timedelta(seconds=60))
    left.store.insert(bound)
    look = Looker(left).one if here else left.get
    assert [look(one).state for one in (status.id, bound.id)] == [State.LOST, State.FAILED]
    assert of(told, status)[1:] == [("task-failed", 1, GONE)]
    assert of(told, TaskStatus.get(bound.id)) == [("task-failed", 1, Cause.LAUNCH.value)]
    assert ("hears" in capfd.readouterr().out) is not here, "a command prints there what was asked for"


def test_inline_everything_is_told_at_once(told: Path, left: Runtime) -> None:
    status = heard.fails.initiate({"way": "raise"})
    assert [signal for signal, *_ in of(told, status)] == [
        "task-started",
        "task-retried",
        "task-started",
        "task-failed",
    ]


def test_receivers_that_raise_harm_neither_the_task_nor_the_worker(
    told: Path, left: Runtime, start_worker: StartWorker
) -> None:
    fine, fails = heard.fine.enqueue({}), heard.fails.enqueue({"way": "raise"})
    assert start_worker("--drain", ready=False, **APP, **{heard.RAISES: "1"}).wait(PATIENCE) == 0
    assert (fine.refresh().state, fails.refresh().state) == (State.COMPLETED, State.FAILED)
    assert of(told, fine) == [("task-started", 1, None), ("task-completed", 1, None)]
    log = log_of(left)
    assert "signal=worker-started receiver=" in log
    assert "signal=task-failed receiver=" in log  # from the process that told
    assert "signal=task-completed receiver=" in "".join(row.text for row in fine.log())
    assert " in the loop\n" not in log


def test_a_receiver_that_hangs_holds_nothing_up(
    told: Path, left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    start_worker(**APP, **{heard.HANGS: str(go)})
    first = heard.fails.enqueue({"way": "raise"})
    wait_until(lambda: "task-retried" in [signal for signal, *_ in of(told, first)], PATIENCE, "a receiver")
    (other,) = [heard.fine.enqueue({})]
    wait_until(lambda: other.refresh().is_final and first.refresh().is_final, PATIENCE, "their ends")
    assert "task-failed" not in [signal for signal, *_ in of(told, first)]
    go.touch()
    wait_until(lambda: "task-failed" in [signal for signal, *_ in of(told, first)], PATIENCE, "the next word")


def test_a_worker_tells_when_it_begins_rests_and_ends(
    told: Path, left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    def heard_of() -> list[str]:
        return [line["signal"] for line in lines(told) if line["signal"].startswith("worker")]

    worker = start_worker("-q", "default", "-q", "mail", **APP)
    wait_until(lambda: heard_of() == ["worker-started", "worker-idle"], PATIENCE, "rest")
    status = heard.waits.enqueue({"path": str(tmp_path / "go")})
    wait_message(status, "waiting")
    (tmp_path / "go").touch()
    wait_until(lambda: heard_of() == ["worker-started", "worker-idle", "worker-idle"], PATIENCE, "rest again")
    worker.terminate()
    assert worker.wait(PATIENCE) == 0
    assert heard_of()[-1] == "worker-stopped"
    of_worker = [line for line in lines(told) if line["signal"].startswith("worker")]
    assert {line["pid"] for line in of_worker} == {worker.pid}
    assert all(line["queues"] == ["default", "mail"] for line in of_worker)


def test_a_receiver_may_ask_for_one_task_only(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[str] = []

    def receive(sender: str, **facts: Any) -> None:
        found.append(sender)

    with signals.task_failed.connected_to(receive, sender="mine"):
        signals.tell(signals.task_failed, "mine")
        signals.tell(signals.task_failed, "other")
    assert found == ["mine"]
