"""The supervisor is killed, told to end, stopped or robbed of its rows."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from forktask import process, registry
from forktask.call import Call, row_of
from forktask.config import Settings
from forktask.identity import Identity
from forktask.proof import Witness
from forktask.rows import Claim, StatusRow, new_id
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from forktask.store import Store, StoreUnavailableError
from forktask.supervisor.boot import row_of_this_process
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, gone, runner_of, the_supervisor, wait_for, wait_message
from tests.waiting import wait_until


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def kill(identity: Identity, number: int = signal.SIGKILL) -> None:
    assert process.send_signal(identity, number)


def is_over(pid: int) -> bool:
    found = process.read_stat(pid)
    return found is None or found.state in process.GONE


def queued_row() -> StatusRow:
    """Return a row that waits, as `initiate` makes it; not in the table."""
    call = Call(definition=registry.get("tests.zoo.nothing"), settings={})
    return row_of(call)


def lost(status: TaskStatus) -> TaskStatus:
    assert (status.state, status.cause) == (State.LOST, Cause.SUPERVISOR_GONE), status.row
    assert status.error == "This was lost: the process that watched over it is gone."
    (attempt,) = status.attempts()
    assert (attempt.state, attempt.cause) == (State.LOST, Cause.SUPERVISOR_GONE)
    return status


def test_children_of_a_runner_end_when_its_row_is_found_lost(own_runtime: Runtime) -> None:
    status = zoo.with_child.initiate({})
    wait_for(status, lambda one: one.message)
    child, runner = int(status.message or ""), runner_of(status)
    kill(the_supervisor(own_runtime.store))
    gone(runner)
    assert not is_over(child), "without a look nobody could know"
    lost(status.refresh())
    assert is_over(child)


def test_another_supervisor_finds_what_is_lost(make_runtime_each: MakeRuntime, go: Path) -> None:
    runtime = make_runtime_each()
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    kill(the_supervisor(runtime.store))
    other = make_runtime_each(version="next")
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED

    def row_is_lost() -> bool:  # the store only reads
        row = other.store.get(status.id)
        return row is not None and row.state is State.LOST

    wait_until(row_is_lost, 30, "the other supervisor's look")


def test_find_tells_lost_rows_as_lost(own_runtime: Runtime, go: Path) -> None:
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    supervisor = the_supervisor(own_runtime.store)
    kill(supervisor)
    gone(supervisor)
    assert TaskStatus.find(state=State.RUNNING) == []
    (found,) = TaskStatus.find(state=State.LOST)
    assert found.id == status.id


def test_all_who_look_at_once_read_lost_whoever_was_first(own_runtime_both: Runtime, go: Path) -> None:
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    supervisor = the_supervisor(own_runtime_both.store)
    kill(supervisor)
    gone(supervisor)
    at_once = Barrier(8)

    def look(number: int) -> State:
        at_once.wait()
        return TaskStatus.get(status.id).state

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(look, range(8))) == {State.LOST}


def test_a_paused_row_is_lost_with_its_supervisor_and_its_stopped_runner_ends(own_runtime: Runtime, go: Path) -> None:
    status = zoo.with_child.initiate({})
    wait_for(status, lambda one: one.message)
    child, runner = int(status.message or ""), runner_of(status)
    status.pause()
    wait_for(status, lambda one: one.state is State.PAUSED)
    supervisor = the_supervisor(own_runtime.store)
    kill(supervisor)
    gone(supervisor)
    lost(status.refresh())
    gone(runner)
    assert is_over(child)


def test_a_row_paused_before_it_began_is_not_lost(make_runtime: MakeRuntime, go: Path) -> None:
    runtime = make_runtime(max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    second = zoo.nothing.initiate()
    second.pause()
    supervisor = the_supervisor(runtime.store)
    kill(supervisor)
    gone(supervisor)
    lost(first.refresh())
    assert second.refresh().state is State.PAUSED
    second.resume()
    assert ended(second).state is State.COMPLETED


def test_a_stopped_runner_is_not_called_dead(make_runtime: MakeRuntime, go: Path) -> None:
    runtime = make_runtime(lost_after=0.5, heartbeat_interval=0.1)
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    runner = runner_of(status)
    kill(runner, signal.SIGSTOP)
    heartbeat = runtime.store.supervisors()[0].heartbeat_at
    wait_until(lambda: runtime.store.supervisors()[0].heartbeat_at > heartbeat, 30, "a heartbeat")
    assert status.refresh().state is State.RUNNING
    kill(runner, signal.SIGCONT)
    go.touch()
    assert ended(status).state is State.COMPLETED


def test_a_pid_in_use_by_another_process_is_not_signalled(own_runtime_each: Runtime) -> None:
    me = process.identify()
    supervisor = row_of_this_process("embedded")._replace(id=new_id(), pid=2**22 - 1, start_ticks=1)
    store = own_runtime_each.store
    store.register(supervisor)
    sleeper = os.posix_spawn("/bin/sleep", ["sleep", "60"], dict(os.environ), setsid=True)
    try:
        stranger = process.identify(sleeper)
        row = queued_row()
        old = dataclasses.replace(stranger, start_ticks=stranger.start_ticks - 1000)
        store.insert(row)
        assert store.claim([Claim(status_id=row.id, supervisor_id=supervisor.id, runner=old)])
        assert TaskStatus.get(row.id).state is State.LOST
        assert process.is_alive(stranger)
        assert not process.send_signal(old, signal.SIGKILL)
        assert not process.send_signal(dataclasses.replace(me, start_ticks=1), signal.SIGKILL)
    finally:
        os.kill(sleeper, signal.SIGKILL)
        os.waitpid(sleeper, 0)


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"pid_namespace": "another"}], ids=["boot", "namespace"])
def test_on_another_host_a_row_is_lost_after_its_lease_by_the_clock_of_the_database(
    make_runtime_each: MakeRuntime, change: dict[str, Any]
) -> None:
    runtime = make_runtime_each(lost_after=1.0)
    store = runtime.store
    # The pid is ours and alive: what is said of another host must not be looked up here.
    supervisor = row_of_this_process("embedded")._replace(**change)
    runner = dataclasses.replace(process.identify(), **change)
    store.register(supervisor)
    row = queued_row()
    store.insert(row)
    store.claim([Claim(status_id=row.id, supervisor_id=supervisor.id, runner=runner)])
    for _ in range(20):
        store.heartbeat(supervisor.id)
        assert not Witness(store, Settings(lost_after=60.0)).check(store.get(row.id) or row)
    assert TaskStatus.get(row.id).state is State.RUNNING
    wait_until(lambda: TaskStatus.get(row.id).state is State.LOST, 30, "the end of the lease")
    assert supervisor.id in store.silent(1.0)


def stop_and_call_lost(supervisor: Identity, store: Store, status: TaskStatus) -> bool:
    """Return False, with the supervisor awake again, if it stopped in a transaction of its own and holds the row."""
    kill(supervisor, signal.SIGSTOP)
    try:
        assert store.mark_lost(status.id, 1, "another host said so", error="Lost.", reference="AAAA-AAAA")
    except StoreUnavailableError:
        kill(supervisor, signal.SIGCONT)
        return False
    return True


def test_a_supervisor_that_was_called_lost_kills_its_runner_and_writes_nothing(
    own_runtime_both: Runtime, go: Path
) -> None:
    store = own_runtime_both.store
    status = zoo.wait_and_report.initiate({"path": str(go)})
    wait_for(status, lambda one: (one.done or 0) > 1)
    runner, supervisor = runner_of(status), the_supervisor(store)
    wait_until(lambda: stop_and_call_lost(supervisor, store, status), PATIENCE, "a stop between two writes")
    before = store.get(status.id)
    assert process.is_alive(runner)
    kill(supervisor, signal.SIGCONT)
    gone(runner)
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert store.get(status.id) == before
    (attempt,) = store.attempts(status.id)
    assert attempt.traceback == "another host said so"
    assert the_supervisor(store) == supervisor


def test_a_silent_runner_is_killed_when_its_row_was_called_lost(own_runtime: Runtime, go: Path) -> None:
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    runner = runner_of(status)
    own_runtime.store.mark_lost(status.id, 1, "another host said so", error="Lost.", reference="AAAA-AAAA")
    gone(runner)
    assert TaskStatus.get(status.id).state is State.LOST


def test_the_runner_of_an_older_attempt_is_killed_and_writes_nothing(own_runtime: Runtime, go: Path) -> None:
    store = own_runtime.store
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    runner, supervisor = runner_of(status), the_supervisor(store)
    kill(supervisor, signal.SIGSTOP)
    store.mark_lost(status.id, 1, "another host said so", error="Lost.", reference="AAAA-AAAA")
    status.retry()  # the order is there when it wakes: before it looks at its rows
    kill(supervisor, signal.SIGCONT)
    gone(runner)
    go.touch()
    assert ended(status).state is State.COMPLETED
    assert [(one.attempt, one.state) for one in status.attempts()] == [(1, State.LOST), (2, State.COMPLETED)]


def test_the_session_of_a_program_that_died_in_an_inline_task_is_left_alone(own_runtime: Runtime) -> None:
    settings = own_runtime.settings
    program = "from tests import zoo; zoo.kill_itself.using(start_method='inline').initiate({'number': 9})"
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "FORKTASK_DATABASE_URL": settings.database_url,
        "FORKTASK_RUNTIME_DIR": settings.runtime_dir,
    }
    command = ["/bin/sh", "-c", 'sleep 600 & echo $!; exec "$@"', "sh", sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True) as died:
        assert died.stdout is not None
        neighbour = process.identify(int(died.stdout.readline()))
        try:
            assert died.wait(60) == -signal.SIGKILL
            (found,) = TaskStatus.find()
            lost(found)
            assert process.is_alive(neighbour)
        finally:
            kill(neighbour)
