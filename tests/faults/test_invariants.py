"""The invariants of the design, each by its number; what only the pages promise is tested with them."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.orm import Session

from forktask import process
from forktask.errors import SettingsError, StatusNotFoundError
from forktask.rows import Sample
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import MakeRuntime, ended, gone, runner_of, the_supervisor, wait_for, wait_message

ROOT = Path(__file__).parents[2]

COUNT_ROWS_AT_EACH_START = """
import sqlite3, sys
from tests import zoo

def count(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        with sqlite3.connect(sys.argv[1]) as database:
            seen.append(database.execute("SELECT count(*) FROM forktask_status").fetchone()[0])

seen = []
sys.addaudithook(count)
status = zoo.nothing.initiate()
print(sorted(set(seen)))
status.wait(60)
"""


def test_invariant_1_the_row_is_committed_before_any_process_exists(own_runtime: Runtime) -> None:
    settings = own_runtime.settings
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FORKTASK_DATABASE_URL": settings.database_url,
        "FORKTASK_RUNTIME_DIR": settings.runtime_dir,
        "FORKTASK_APP": settings.app,
        "FORKTASK_VERSION": "counting",
        "FORKTASK_IDLE_EXIT": "0",
    }
    database = make_url(settings.database_url).database or ""
    command = [sys.executable, "-c", COUNT_ROWS_AT_EACH_START, database]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert output.stdout == "[1]\n", output.stderr


def test_invariant_1_an_id_that_was_returned_is_known_and_any_other_is_not(runtime_each: Runtime) -> None:
    status = zoo.nothing.initiate()
    assert TaskStatus.get(str(status.id)).id == status.id
    for unknown in (uuid4(), str(uuid4()), "nonsense", ""):
        with pytest.raises(StatusNotFoundError):
            TaskStatus.get(unknown)
    ended(status)


def test_invariant_2_what_says_running_has_a_live_supervisor_or_is_lost(own_runtime: Runtime, tmp_path: Path) -> None:
    running, paused = (zoo.tick.initiate({"path": str(tmp_path / name)}) for name in ("a", "b"))
    wait_message(paused, "ticking")
    paused.pause()
    wait_for(paused, lambda one: one.state is State.PAUSED)
    wait_message(running, "ticking")
    supervisor = the_supervisor(own_runtime.store)
    for number in (signal.SIGSTOP, signal.SIGCONT):
        process.send_signal(supervisor, number)
        assert (running.refresh().state, paused.refresh().state) == (State.RUNNING, State.PAUSED)
    process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    assert {one.state for one in TaskStatus.find()} == {State.LOST}


def test_invariant_3_the_end_of_an_attempt_is_written_once(own_runtime_both: Runtime, tmp_path: Path) -> None:
    store = own_runtime_both.store
    status = zoo.wait.initiate({"path": str(tmp_path / "go")})
    wait_message(status, "waiting")
    supervisor = the_supervisor(store)
    process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    barrier = threading.Barrier(8)
    wrote: list[bool] = []

    def end() -> None:
        barrier.wait()
        wrote.append(store.mark_lost(status.id, 1, "seen", error="Lost.", reference="AAAA-AAAA") is not None)

    threads = [threading.Thread(target=end) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(wrote) == [False] * 7 + [True]
    assert len(store.attempts(status.id)) == 1


def test_invariant_3_an_old_attempt_can_write_nothing(own_runtime_both: Runtime, tmp_path: Path) -> None:
    store = own_runtime_both.store
    status = zoo.wait.initiate({"path": str(tmp_path / "go")})
    wait_message(status, "waiting")
    status.cancel()
    ended(status)
    status.retry()
    wait_message(status, "waiting")
    old = Sample(status_id=status.id, attempt=1, percent=99.0, message="from the grave")
    assert store.save([old], []) == {status.id}
    assert not store.mark_lost(status.id, 1, "seen", error="Lost.", reference="AAAA-AAAA")
    assert not store.set_paused(status.id, 1, True)
    assert (status.refresh().message, status.state) == ("waiting", State.RUNNING)
    (tmp_path / "go").touch()
    ended(status)


def test_invariant_4_no_task_waits_for_the_database_nor_is_lost_by_it(own_runtime: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    status = zoo.FlakyOnceTask.initiate({"path": str(go)})
    wait_message(status, "waiting")
    runner, supervisor = runner_of(status), the_supervisor(own_runtime.store)
    database = sqlite3.connect(make_url(own_runtime.settings.database_url).database or "", isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    go.touch()
    gone(runner)
    assert process.is_alive(supervisor)
    database.execute("ROLLBACK")
    database.close()
    assert (ended(status).state, status.result, status.done) == (State.COMPLETED, 2, 1000)


def test_invariant_5_nothing_of_the_caller_reaches_the_runner_and_nothing_of_it_the_caller(
    own_runtime: Runtime, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    before = signal.getsignal(signal.SIGCHLD)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        ours = os.readlink(f"/proc/self/fd/{listener.fileno()}")
        status = zoo.wait.initiate({"path": str(go)})
        wait_message(status, "waiting")
        pids = [runner_of(status).pid, the_supervisor(own_runtime.store).pid]
        for pid in pids:
            held = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
            assert ours not in held
    assert signal.getsignal(signal.SIGCHLD) is before
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if child.pid in pids or child.status() == psutil.STATUS_ZOMBIE]
    go.touch()
    ended(status)


def test_invariant_6_the_session_of_the_user_is_neither_committed_nor_rolled_back(runtime_each: Runtime) -> None:
    engine = create_engine(runtime_each.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE theirs (n INTEGER)"))
    try:
        with Session(engine) as session:
            if engine.dialect.name != "sqlite":  # which has one writer: a second one waits for its end
                session.execute(text("INSERT INTO theirs VALUES (1)"))
            else:
                session.execute(text("SELECT * FROM theirs"))
            status = zoo.nothing.initiate()
            assert session.in_transaction()
            assert ended(status).state is State.COMPLETED
            session.rollback()
            assert session.execute(text("SELECT count(*) FROM theirs")).scalar() == 0
        assert TaskStatus.get(status.id).state is State.COMPLETED
    finally:
        with engine.begin() as connection:
            connection.execute(text("DROP TABLE theirs"))
        engine.dispose()


def test_invariant_7_a_signal_goes_to_a_verified_process_only() -> None:
    child = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    identity = process.identify(child.pid)
    try:
        for stranger in (
            dataclasses.replace(identity, start_ticks=identity.start_ticks - 1),
            dataclasses.replace(identity, boot_id="another"),
            dataclasses.replace(identity, pid_namespace="another"),
        ):
            assert not process.send_signal(stranger, signal.SIGKILL)
            assert process.kill_session(stranger, uuid4()) == 0
        assert process.is_alive(identity)
        assert process.kill_session(identity, uuid4()) == 1
        assert child.wait(10) == -signal.SIGKILL
        assert not process.send_signal(identity, signal.SIGKILL)
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"when": {1, 2}}, "settings['when']"),
        ({"a": [1, float("nan")]}, "settings['a'][1]"),
        ({"raw": b"x"}, "settings['raw']"),
        ({1: "a"}, "settings"),
        ({"large": "x" * 2_000_000}, "settings"),
        ({"task": zoo.CustomError("x")}, "settings['task']"),
    ],
    ids=["set", "nan", "bytes", "key", "size", "object"],
)
def test_invariant_8_what_is_not_json_is_refused_by_its_path_before_a_row_exists(
    make_runtime: MakeRuntime, settings: object, path: str
) -> None:
    runtime = make_runtime()
    with pytest.raises(SettingsError) as caught:
        zoo.echo.initiate(settings)
    assert caught.value.path.startswith(path)
    assert runtime.store.find() == []


def test_invariant_10_a_traceback_is_for_operators_only(runtime_each: Runtime) -> None:
    status = ended(zoo.fail.initiate())
    readable = [status.error, status.message, status.result, status.warnings, status.cause]
    assert "1234" not in repr(readable) and "Traceback" not in repr(readable)
    assert status.cause is Cause.EXCEPTION
    (attempt,) = [one for one in status.attempts() if one.reference == status.reference]
    assert "the secret is 1234" in (attempt.traceback or "")
