"""Start method `inline`: the same rows and states, in the calling process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from forktask import (
    Cause,
    LiveStatus,
    Retry,
    StartMethod,
    State,
    Task,
    TaskError,
    TaskStatus,
    TaskStopped,
    process,
    task,
)
from forktask.errors import LaunchError
from forktask.progress import Report
from tests import zoo
from tests.runtimes import MakeRuntime


@pytest.fixture
def inline(make_runtime: MakeRuntime) -> None:
    make_runtime(start_method=StartMethod.INLINE)


@task
def reports(status: LiveStatus) -> int:
    status.update(10, "begun")
    seen = TaskStatus.get(status.id)
    assert (seen.state, seen.percent, seen.message) == (State.RUNNING, 10, "begun")
    with status.phase("Opening", 1):
        pass
    for _ in status.track(range(4), message="counting", unit="rows"):
        status.warn("careful")
    status.checkpoint({"at": 4})
    return os.getpid()


def test_it_runs_here_and_the_row_is_as_any_other(make_runtime_each: MakeRuntime) -> None:
    make_runtime_each(start_method=StartMethod.INLINE)
    heard: list[Report] = []
    status = reports.using(on_progress=heard.append).initiate({"a": 1})
    assert (status.state, status.result, status.percent) == (State.COMPLETED, os.getpid(), 100)
    assert (status.done, status.total, status.unit) == (4, 4, "rows")
    assert status.warnings == ["careful"] * 4
    assert status.checkpoint == {"at": 4}
    assert status.phases == [{"name": "Opening", "state": "done"}]
    assert heard[0].message == "begun"
    assert heard[-1].done == 4
    (attempt,) = status.attempts()
    assert (attempt.attempt, attempt.cause, attempt.pid) == (1, None, os.getpid())


class StubbornTask(Task):
    """Fails until its last attempt; the backoff of an hour is not waited for."""

    retry = Retry(attempts=3, backoff=3600)

    def execute(self, status: LiveStatus) -> str:
        if status.attempt < status.settings["until"]:
            status.checkpoint(status.attempt)
            raise OSError("not yet")
        return f"after {status.resumed_from}"


@pytest.mark.usefixtures("inline")
def test_a_retry_follows_at_once() -> None:
    status = StubbornTask.initiate({"until": 3})
    assert (status.state, status.result, status.attempt) == (State.COMPLETED, "after 2", 3)
    assert [attempt.cause for attempt in status.attempts()] == [Cause.EXCEPTION, Cause.EXCEPTION, None]


@pytest.mark.usefixtures("inline")
def test_a_last_failure_says_what_a_runner_would() -> None:
    status = StubbornTask.initiate({"until": 4})
    assert (status.state, status.cause, status.attempt) == (State.FAILED, Cause.EXCEPTION, 3)
    assert "not yet" not in (status.error or "")
    assert status.reference
    last = status.attempts()[-1]
    assert last.error_class == "OSError"
    assert "not yet" in (last.traceback or "")


@task
def ends(status: LiveStatus) -> object:
    how = status.settings["how"]
    if how == "sentence":
        raise TaskError("The file is empty.")
    if how == "exit":
        raise SystemExit(3)
    if how == "stop":
        raise TaskStopped
    return {1, 2}


@pytest.mark.usefixtures("inline")
@pytest.mark.parametrize(
    ("how", "state", "cause", "error"),
    [
        ("sentence", State.FAILED, Cause.EXCEPTION, "The file is empty."),
        ("exit", State.FAILED, Cause.EXIT, None),
        ("stop", State.CANCELLED, Cause.CANCELLED, None),
        ("set", State.FAILED, Cause.EXCEPTION, None),
    ],
)
def test_other_ends_are_told_as_they_are(how: str, state: State, cause: Cause, error: str | None) -> None:
    status = ends.initiate({"how": how})
    assert (status.state, status.cause) == (state, cause)
    if error is not None:
        assert status.error == error


@task
def goes_on(status: LiveStatus) -> None:
    for number in range(1000):
        status.update(done=number)


@pytest.mark.usefixtures("inline")
def test_a_cancel_is_seen_at_the_next_report() -> None:
    def cancel(report: Report) -> None:
        if report.done == 5:
            (status,) = TaskStatus.find(state=State.RUNNING)
            status.cancel()

    status = goes_on.using(on_progress=cancel).initiate()
    assert (status.state, status.cause, status.done) == (State.CANCELLED, Cause.CANCELLED, 5)


def test_elsewhere_than_on_linux_only_inline_is_there(
    make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_runtime()
    monkeypatch.setattr(process, "LINUX", False)
    with pytest.raises(LaunchError, match="start method forkserver needs Linux; elsewhere there is inline"):
        zoo.echo.initiate({"a": 1})
    assert zoo.echo.using(start_method="inline").initiate({"a": 1}).result == {"a": 1}
    assert len(TaskStatus.find()) == 1


def test_on_windows_the_import_says_that_it_does_not_run_there() -> None:
    program = "import sys; sys.platform = 'win32'; import forktask"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("ImportError: forktask forks POSIX processes and does not run on")


def test_ctrl_c_ends_the_attempt_and_the_program(make_runtime: MakeRuntime) -> None:
    make_runtime(start_method=StartMethod.INLINE)
    with pytest.raises(KeyboardInterrupt):
        zoo.interrupt.initiate()
    (status,) = TaskStatus.find()
    assert (status.state, status.cause) == (State.FAILED, Cause.EXCEPTION)
