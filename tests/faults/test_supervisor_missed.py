"""A web process whose supervisor is gone notices at any request, and can start another whatever was left."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from forktask import process
from forktask.errors import LaunchError
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.start import starting
from forktask.states import FINAL, State
from forktask.status import TaskStatus
from forktask.web.extension import Lookout
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, gone, the_supervisor, wait_message
from tests.waiting import wait_until


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def row_of(runtime: Runtime, status: TaskStatus) -> StatusRow:
    """Return the row as it stands, without making it true."""
    row = runtime.store.get(status.id)
    assert row is not None
    return row


def rows_of(runtime: Runtime) -> list[StatusRow]:
    """Return all rows as they stand."""
    return runtime.store.find()


def test_a_request_for_another_page_notices_that_the_supervisor_was_killed(
    make_runtime_both: MakeRuntime, go: Path
) -> None:
    runtime = make_runtime_both(max_running=1)
    request = Lookout(runtime)
    request()
    running, waiting = zoo.wait.initiate({"path": str(go)}), zoo.nothing.initiate()
    wait_message(running, "waiting")
    request()
    assert row_of(runtime, running).state is State.RUNNING
    supervisor = the_supervisor(runtime.store)
    process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    request()
    assert row_of(runtime, running).state is State.LOST
    wait_until(lambda: row_of(runtime, waiting).state is State.COMPLETED, PATIENCE, "the row that waited")
    assert not runtime.doorbell.has_lost()


def test_requests_go_on_noticing_until_the_runners_of_a_supervisor_told_to_end_have_ended(
    own_runtime: Runtime, go: Path, tmp_path: Path
) -> None:
    request = Lookout(own_runtime)
    status = zoo.ResumableTask.initiate({"path": str(go), "notes": str(tmp_path / "notes")})
    wait_message(status, "waiting")
    process.send_signal(the_supervisor(own_runtime.store), signal.SIGTERM)
    go.touch()

    def is_done() -> bool:
        request()
        return row_of(own_runtime, status).state is State.COMPLETED

    wait_until(is_done, PATIENCE, "its end under the next supervisor")


def test_what_was_lost_is_told_at_once_and_then_once_a_second_for_a_minute(
    own_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    doorbell = own_runtime.doorbell
    assert not doorbell.has_lost()
    ended(zoo.nothing.initiate())
    assert not doorbell.has_lost()
    process.send_signal(the_supervisor(own_runtime.store), signal.SIGKILL)
    wait_until(doorbell.has_lost, PATIENCE)
    begin = doorbell._gone_at
    assert begin is not None
    told = []
    for now in (begin + 0.1, begin + 1.1, begin + 1.2, begin + 59, begin + 61, begin + 62):
        monkeypatch.setattr("forktask.start.doorbell.clock.monotonic", lambda now=now: now)
        told.append(doorbell.has_lost())
    monkeypatch.undo()
    assert told == [False, True, False, True, False, False]


STARTER = """
import sys
from forktask.config import Settings
from forktask.runtime import Runtime
from tests import zoo
from tests.runtimes import QUICK
patient = QUICK | {"idle_exit": 60.0}
runtime = Runtime(Settings(database_url=sys.argv[1], runtime_dir=sys.argv[2], **patient))
Runtime.use(lambda: runtime)
print(runtime.doorbell.destination.name if sys.argv[3:] else zoo.nothing.initiate().id)
"""


def a_starter(runtime: Runtime, *more: str) -> subprocess.Popen[str]:
    """Run a web process that starts one task, or with more arguments only says which supervisor it would tell."""
    command = [sys.executable, "-c", STARTER, runtime.settings.database_url, runtime.settings.runtime_dir, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def said(starter: subprocess.Popen[str]) -> str:
    return starter.communicate(timeout=3 * PATIENCE)[0].strip()


def test_a_lock_that_no_supervisor_holds_is_replaced(make_runtime_both: MakeRuntime) -> None:
    """As after a fork of the program's own while it started a supervisor that was killed since.

    Rows are read as they stand: a look of this process, which is another program, would start a supervisor of its own.
    """
    runtime = make_runtime_both()
    name = said(a_starter(runtime, "name"))
    path = Path(runtime.settings.runtime_dir, f"{name}.lock")
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        starters = [a_starter(runtime) for _ in range(3)]
        assert len({said(starter) for starter in starters}) == 3
        wait_until(lambda: all(row.state in FINAL for row in rows_of(runtime)), PATIENCE, "their ends")
        assert path.stat().st_ino != os.fstat(held.fileno()).st_ino
    assert [row.state for row in rows_of(runtime)] == [State.COMPLETED] * 3
    assert len({row.supervisor_id for row in rows_of(runtime)}) == 1


def test_a_supervisor_that_dies_before_it_read_its_configuration_is_told(
    own_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = own_runtime.doorbell.destination
    monkeypatch.setattr(process, "command", lambda *words: ["/bin/true"])
    large = {**destination.configuration(), "padding": "x" * 4_000_000}
    dead = replace(destination, configuration=lambda: large)
    assert destination.directory is not None
    with pytest.raises(LaunchError, match=r"cannot start the supervisor: .*(Broken pipe|reset)"):
        starting.start(dead, destination.directory)
