"""Cancel, timeout, pause and resume, as they are done to real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from forktask import clock, process
from forktask.errors import StateError
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, runner_of, wait_for, wait_message
from tests.waiting import wait_until


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def cancelled(status: TaskStatus) -> TaskStatus:
    ended(status)
    assert (status.state, status.cause) == (State.CANCELLED, Cause.CANCELLED), status.row
    assert status.reference is None
    (attempt,) = status.attempts()
    assert (attempt.state, attempt.cause) == (State.CANCELLED, Cause.CANCELLED)
    return status


def child_of(status: TaskStatus) -> int:
    wait_for(status, lambda one: one.message)
    return int(status.message or "")


def state_in_kernel(pid: int) -> str:
    found = process.read_stat(pid)
    return found.state if found else "gone"


def is_over(pid: int) -> bool:
    return state_in_kernel(pid) in ("gone", *process.GONE)


def test_cancel_is_heard_at_the_next_report_and_finally_blocks_run(make_runtime: MakeRuntime, go: Path) -> None:
    make_runtime(stop_timeout=60)
    status = zoo.clean_up.initiate({"notes": str(go), "reports": True, "deaf": True})
    wait_for(status, lambda one: one.percent == 2)
    cancelled(status.cancel())
    assert go.read_text() == "cleaned up\n"
    assert (status.attempts()[0].exit_code, status.attempts()[0].signal) == (1, None)


def test_cancel_reaches_a_sleeping_task_by_sigterm_and_finally_blocks_run(runtime: Runtime, go: Path) -> None:
    status = zoo.clean_up.initiate({"notes": str(go)})
    wait_message(status, "ready")
    cancelled(status.cancel())
    assert go.read_text() == "cleaned up\n"


def test_cancel_kills_a_task_that_ignores_it(runtime: Runtime) -> None:
    status = zoo.stubborn.initiate()
    wait_message(status, "ready")
    runner = runner_of(status)
    cancelled(status.cancel())
    assert status.attempts()[0].signal == signal.SIGKILL
    assert not process.is_alive(runner)


def test_cancel_ends_the_child_processes_too(runtime: Runtime) -> None:
    status = zoo.with_child.initiate({})
    child = child_of(status)
    cancelled(status.cancel())
    wait_until(lambda: is_over(child), what="the end of the child")


def test_children_that_a_task_leaves_behind_end_with_it(runtime: Runtime) -> None:
    status = zoo.with_child.initiate({"leave": True})
    assert ended(status).state is State.COMPLETED
    wait_until(lambda: is_over(int(status.message or "")), what="the end of the child")


def test_cancel_of_a_final_status_is_refused_but_a_second_cancel_is_not(runtime: Runtime, go: Path) -> None:
    status = zoo.clean_up.initiate({"notes": str(go)})
    wait_message(status, "ready")
    cancelled(status.cancel())
    status.cancel()
    done = ended(zoo.nothing.initiate())
    with pytest.raises(StateError):
        done.cancel()
    assert done.refresh().state is State.COMPLETED


def test_cancel_of_what_waits_ends_it_at_once(make_runtime_both: MakeRuntime, go: Path) -> None:
    make_runtime_both(max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    second, third = (zoo.note_start.initiate({"path": f"{go}.started", "n": n}) for n in (2, 3))
    assert second.cancel().state is State.CANCELLED
    go.touch()
    assert ended(first).state is State.COMPLETED
    assert ended(third).state is State.COMPLETED
    assert Path(f"{go}.started").read_text() == "3\n"
    assert second.refresh().state is State.CANCELLED
    assert second.attempts() == []


def test_cancel_while_it_completes_gives_one_end(runtime: Runtime, tmp_path: Path) -> None:
    seen = set()
    for number in range(30):
        path = tmp_path / str(number)
        status = zoo.wait.initiate({"path": str(path)})
        wait_message(status, "waiting")
        path.touch()
        try:
            status.cancel()
        except StateError:
            assert status.refresh().is_final
        ended(status)
        seen.add(status.state)
        (attempt,) = status.attempts()
        assert attempt.state is status.state
        if status.state is State.COMPLETED:
            assert (status.result, status.percent, status.cause) == ("waited", 100, None)
        else:
            assert (status.state, status.result) == (State.CANCELLED, None)
    assert seen <= {State.COMPLETED, State.CANCELLED}


def test_a_task_that_takes_too_long_is_stopped(runtime_each: Runtime) -> None:
    status = ended(zoo.ShortTask.initiate({"path": "/nowhere"}))
    assert (status.state, status.cause) == (State.FAILED, Cause.TIMEOUT)
    assert status.error == "This took longer than 0.5 seconds and was stopped."
    (attempt,) = status.attempts()
    assert attempt.traceback and "wait_for_file" in attempt.traceback
    assert (attempt.exit_code, attempt.signal) == (1, None)


def test_a_task_that_takes_too_long_and_ignores_sigterm_is_killed(runtime: Runtime) -> None:
    status = ended(zoo.ShortStubbornTask.initiate())
    assert (status.state, status.cause) == (State.FAILED, Cause.TIMEOUT)
    assert status.attempts()[0].signal == signal.SIGKILL
    assert status.error == "This took longer than 0.5 seconds and was stopped."


def test_a_timeout_is_run_again_only_if_the_task_says_so(runtime: Runtime) -> None:
    status = ended(zoo.TimeoutAgainTask.initiate())
    assert (status.state, status.result) == (State.COMPLETED, 2)
    assert [attempt.cause for attempt in status.attempts()] == [Cause.TIMEOUT, None]


def test_pause_stops_the_whole_group_and_resume_lets_it_go_on(runtime_each: Runtime, go: Path) -> None:
    ticks = Path(f"{go}.ticks")
    status = zoo.tick.initiate({"path": str(go)})
    wait_message(status, "ticking")
    runner = runner_of(status)
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    wait_until(lambda: state_in_kernel(runner.pid) == "T", what="a stopped runner")
    frozen = ticks.read_text()
    status.resume()
    wait_for(status, lambda one: one.state is State.RUNNING)
    wait_until(lambda: ticks.read_text() not in ("", frozen), what="the task to go on")
    go.touch()
    assert ended(status).state is State.COMPLETED
    assert len(status.attempts()) == 1


def test_pause_stops_the_children_too(runtime: Runtime) -> None:
    status = zoo.with_child.initiate({})
    child = child_of(status)
    status.pause()
    wait_until(lambda: state_in_kernel(child) == "T", what="a stopped child")
    status.resume()
    wait_until(lambda: state_in_kernel(child) != "T", what="a running child")
    cancelled(status.cancel())


def test_paused_time_counts_neither_for_the_timeout_nor_as_work(runtime: Runtime, go: Path) -> None:
    status = zoo.TickTask.initiate({"path": str(go)})
    wait_message(status, "ticking")
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    paused_at = clock.monotonic()
    other = zoo.ShortTask.initiate({"path": "/nowhere"})
    for _ in range(7):  # each of which takes a sixth of what the paused one has
        assert ended(other).cause is Cause.TIMEOUT
        other = zoo.ShortTask.initiate({"path": "/nowhere"})
    ended(other)
    assert status.refresh().state is State.PAUSED
    paused = clock.monotonic() - paused_at
    status.resume()
    wait_for(status, lambda one: one.state is State.RUNNING)
    go.touch()
    assert ended(status).state is State.COMPLETED
    row = status.row
    assert row.active_seconds is not None and row.started_at is not None and row.finished_at is not None
    assert row.active_seconds < (row.finished_at - row.started_at).total_seconds() - paused + 0.1


def test_cancel_of_a_paused_task_ends_it_and_its_finally_blocks_run(runtime: Runtime, go: Path) -> None:
    status = zoo.clean_up.initiate({"notes": str(go)})
    wait_message(status, "ready")
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    cancelled(status.cancel())
    assert go.read_text() == "cleaned up\n"


def test_kill_of_a_paused_runner_is_told(runtime: Runtime, go: Path) -> None:
    status = zoo.tick.initiate({"path": str(go)})
    runner = runner_of(status)
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    os.kill(runner.pid, signal.SIGKILL)
    ended(status)
    assert (status.state, status.cause) == (State.FAILED, Cause.SIGNAL)


def test_what_is_paused_before_it_starts_waits_until_resumed(make_runtime_both: MakeRuntime, go: Path) -> None:
    make_runtime_both(max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    second, third = (zoo.note_start.initiate({"path": f"{go}.started", "n": n}) for n in (2, 3))
    assert second.pause().state is State.PAUSED
    go.touch()
    assert ended(third).state is State.COMPLETED
    assert second.refresh().state is State.PAUSED
    assert Path(f"{go}.started").read_text() == "3\n"
    assert second.resume().state in (State.QUEUED, State.RUNNING, State.COMPLETED)
    assert ended(second).state is State.COMPLETED
    assert Path(f"{go}.started").read_text() == "3\n2\n"
    assert second.attempt == 1


def test_what_is_paused_before_it_starts_can_be_cancelled(make_runtime: MakeRuntime, go: Path) -> None:
    make_runtime(max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    second = zoo.nothing.initiate()
    second.pause()
    assert second.cancel().state is State.CANCELLED
    go.touch()
    assert ended(first).state is State.COMPLETED


def test_a_task_that_has_ended_before_its_resume_returns_is_no_error(
    make_runtime: MakeRuntime, go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = make_runtime(max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    second = zoo.nothing.initiate()
    second.pause()
    go.touch()
    ended(first)
    start = runtime._starter.start_waiting
    monkeypatch.setattr(
        runtime._starter, "start_waiting", lambda row: (start(row), runtime.wait(row.id, PATIENCE)), raising=True
    )
    assert second.resume().state is State.COMPLETED
    with pytest.raises(StateError):
        second.resume()
