"""The supervisor is killed, told to end or stopped, while another one works beside it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from forktask import process
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.faults import harm
from tests.faults.truth import DONE, GONE, Truth, nothing_else_touched, tells
from tests.runtimes import PATIENCE, MakeRuntime, gone, runner_of, supervisor_of, wait_for, wait_message
from tests.waiting import wait_until

INTERRUPTED = Truth(
    cause=Cause.INTERRUPTED, says="This was interrupted because the service was restarted.", exit_code=1
)
LEASE = 0.5


@pytest.fixture
def beside(make_runtime_both: MakeRuntime) -> Runtime:
    """A runtime with a supervisor that nothing happens to; another one is the current one."""
    beside = make_runtime_both(version="beside", lost_after=LEASE)
    make_runtime_both(lost_after=LEASE, heartbeat_interval=0.1)
    return beside


def test_row_says_lost_when_the_supervisor_is_killed(beside: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(beside, tmp_path):
        status = zoo.wait.initiate({"path": "/nowhere"})
        wait_message(status, "waiting")
        runner, supervisor = runner_of(status), supervisor_of(status)
        assert process.send_signal(supervisor, signal.SIGKILL)
        gone(supervisor)
        assert TaskStatus.get(status.id).state is State.LOST, "at the very next look"
        gone(runner)
        attempt = tells(status, GONE)
    assert f"pid {supervisor.pid} started at tick {supervisor.start_ticks} is gone" in (attempt.traceback or "")


def test_a_supervisor_told_to_end_fails_what_may_not_run_again(beside: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(beside, tmp_path):
        status = zoo.clean_up.initiate({"notes": str(tmp_path / "notes")})
        wait_message(status, "ready")
        supervisor = supervisor_of(status)
        assert process.send_signal(supervisor, signal.SIGTERM)
        tells(status, INTERRUPTED)
        gone(supervisor)
    assert (tmp_path / "notes").read_text() == "cleaned up\n"


def test_a_stopped_supervisor_is_not_called_dead_however_long_it_is_silent(beside: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    with nothing_else_touched(beside, tmp_path) as bystander:
        status = zoo.wait.initiate({"path": str(go)})
        wait_message(status, "waiting")
        supervisor, watcher = supervisor_of(status), bystander.row.supervisor_id
        supervisor_id = status.row.supervisor_id
        assert process.send_signal(supervisor, signal.SIGSTOP)
        # By then the other supervisor, which looks once a second, has looked after the end of the lease.
        wait_until(lambda: supervisor_id in beside.store.silent(4 * LEASE + 1), PATIENCE, "a lapsed lease")
        assert supervisor_id != watcher and supervisor_id in beside.store.silent(LEASE)
        assert TaskStatus.get(status.id).state is State.RUNNING
        assert process.send_signal(supervisor, signal.SIGCONT)
        go.touch()
        tells(status, DONE)
        assert supervisor_of(status) == supervisor


def test_what_a_killed_supervisors_runner_left_is_gone_before_the_row_runs_again(
    beside: Runtime, tmp_path: Path
) -> None:
    with nothing_else_touched(beside, tmp_path):
        status = harm.LeavesImmortalTask.initiate()
        wait_for(status, lambda one: one.checkpoint)
        child = process.identify(status.checkpoint)
        assert process.send_signal(supervisor_of(status), signal.SIGKILL)
        tells(status, DONE)
        assert status.result is True and not process.is_alive(child)
    assert [attempt.cause for attempt in status.attempts()] == [Cause.SUPERVISOR_GONE, None]
