"""What was lost is run again: by the rule of its task, or by order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from forktask import process
from forktask.identity import Identity
from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.runtimes import ended, the_supervisor, wait_message
from tests.waiting import wait_until


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def kill(identity: Identity) -> None:
    assert process.send_signal(identity, signal.SIGKILL)


def test_what_was_lost_is_run_again_if_the_task_says_so(own_runtime_each: Runtime, go: Path) -> None:
    status = zoo.LostAgainTask.initiate({"path": str(go)})
    wait_message(status, "waiting")
    kill(the_supervisor(own_runtime_each.store))
    go.touch()
    ended(status)
    assert (status.state, status.result) == (State.COMPLETED, 2)
    assert [one.cause for one in status.attempts()] == [Cause.SUPERVISOR_GONE, None]


def test_what_was_lost_is_run_again_whoever_finds_it(own_runtime_both: Runtime, go: Path) -> None:
    status = zoo.LostAgainTask.initiate({"path": str(go)})
    wait_message(status, "waiting")
    kill(the_supervisor(own_runtime_both.store))
    code = "import sys; from forktask import TaskStatus; print(TaskStatus.get(sys.argv[1]).state)"
    stranger = subprocess.run(  # a process that has no task of that name
        [sys.executable, "-c", code, str(status.id)],
        env=os.environ | {"FORKTASK_DATABASE_URL": own_runtime_both.settings.database_url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert stranger.stdout.strip() == "queued", stranger.stderr
    go.touch()
    assert ended(status).result == 2


def test_what_was_lost_can_be_retried_by_order(own_runtime: Runtime, go: Path) -> None:
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    kill(the_supervisor(own_runtime.store))
    go.touch()
    wait_until(lambda: status.refresh().state is State.LOST, 30)
    status.retry()
    assert ended(status).state is State.COMPLETED
    assert [one.state for one in status.attempts()] == [State.LOST, State.COMPLETED]
