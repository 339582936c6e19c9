"""The first supervisor, the next one, and the moments between."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from forktask import process, registry
from forktask.call import Call, row_of
from forktask.rows import new_id
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from forktask.supervisor.inspection import LOOK_INTERVAL, RARE_INTERVAL
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, gone, the_supervisor, wait_message
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

STARTERS = """
import os, sys
from tests import zoo
for _ in range(7):
    if os.fork() == 0:
        break
os.write(1, b"ready\\n")  # in one piece, beside those of the others
while not os.path.exists(sys.argv[1]):
    pass
statuses = [zoo.echo.initiate({"n": n}) for n in range(3)]
for status in statuses:
    status.wait(60)
os.write(1, f"{[str(status.state) for status in statuses]}\\n".encode())
sys.stdin.read()
"""


def starters(runtime: Runtime, go: Path) -> subprocess.Popen[str]:
    """Start a program whose eight processes wait for a file, at full speed, then all start tasks, and stay."""
    settings = runtime.settings
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "FORKTASK_DATABASE_URL": settings.database_url,
        "FORKTASK_RUNTIME_DIR": settings.runtime_dir,
        "FORKTASK_APP": settings.app,
        "FORKTASK_VERSION": settings.version,
        "FORKTASK_IDLE_EXIT": str(settings.idle_exit),
    }
    command = [sys.executable, "-c", STARTERS, str(go)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )


def test_eight_processes_that_start_the_first_task_at_once_get_one_supervisor(
    own_runtime_both: Runtime, tmp_path: Path
) -> None:
    programs = starters(own_runtime_both, tmp_path / "go")
    assert programs.stdout is not None
    assert [programs.stdout.readline() for _ in range(8)] == ["ready\n"] * 8
    (tmp_path / "go").touch()
    for _ in range(8):  # all stay connected: else the supervisor might leave before the last one has begun
        assert programs.stdout.readline() == "['completed', 'completed', 'completed']\n"
    programs.communicate(timeout=PATIENCE)
    found = own_runtime_both.store.find(limit=100)
    assert len(found) == 24
    assert len({row.supervisor_id for row in found}) == 1


def files(runtime: Runtime) -> set[str]:
    return {path.suffix for path in Path(runtime.settings.runtime_dir).iterdir()}


def test_a_supervisor_without_work_or_clients_leaves_nothing_but_its_log_and_lock(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(idle_exit=0.2, spare_runners=2)
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(runtime.store)
    assert "" in files(runtime), "the socket"
    runtime.close()
    gone(supervisor)
    assert files(runtime) == {".lock", ".log"}
    assert runtime.store.supervisors() == []
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert the_supervisor(runtime.store) != supervisor


def test_a_supervisor_stays_while_a_web_process_is_connected(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(idle_exit=0.1, heartbeat_interval=0.1)
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(runtime.store)
    row = runtime.store.supervisors()[0]
    wait_until(
        lambda: (runtime.store.supervisors()[0].heartbeat_at - row.heartbeat_at).total_seconds() > 1, PATIENCE, "beats"
    )
    assert the_supervisor(runtime.store) == supervisor


def test_an_order_at_the_very_moment_of_leaving_is_not_lost(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(idle_exit=0.0, spare_runners=0)
    for number in range(20):
        status = zoo.echo.initiate({"n": number})
        assert ended(status).state is State.COMPLETED, status.attempts()
        runtime.doorbell.close()


def test_a_stale_socket_and_lock_of_a_killed_supervisor_are_taken_over(own_runtime_both: Runtime) -> None:
    ended(zoo.nothing.initiate())
    first = the_supervisor(own_runtime_both.store)
    process.send_signal(first, signal.SIGKILL)
    gone(first)
    assert files(own_runtime_both) == {"", ".lock", ".log"}
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert the_supervisor(own_runtime_both.store) != first


def test_a_supervisor_whose_directory_somebody_removed_serves_who_is_connected(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    shutil.rmtree(own_runtime.settings.runtime_dir)
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert the_supervisor(own_runtime.store) == supervisor


def test_a_socket_that_somebody_removed_is_set_up_again(own_runtime: Runtime, make_runtime: MakeRuntime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    (socket,) = [path for path in Path(own_runtime.settings.runtime_dir).iterdir() if not path.suffix]
    socket.unlink()
    wait_until(socket.exists, PATIENCE, "the socket")
    make_runtime()
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert the_supervisor(own_runtime.store) == supervisor


def test_a_killed_supervisor_in_the_middle_of_many_orders_loses_no_row(own_runtime: Runtime) -> None:
    statuses = [zoo.LostAgainTask.initiate({"path": "/"}) for _ in range(40)]
    supervisor = the_supervisor(own_runtime.store)
    process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    for status in statuses:
        assert ended(status).state is State.COMPLETED, status.row


def test_rows_that_wait_are_started_by_whoever_looks_at_them(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(max_running=1)
    go = tmp_path / "go"
    first, second = zoo.wait.initiate({"path": str(go)}), zoo.echo.initiate({"a": 1})
    wait_message(first, "waiting")
    supervisor = the_supervisor(runtime.store)
    process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    runtime.close()
    found = TaskStatus.get(second.id)
    assert ended(found).result == {"a": 1}


def test_an_application_that_breaks_when_it_is_imported_gives_its_traceback(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    module = tmp_path / "breaks.py"
    module.write_text("value = {}['missing']\n")
    make_runtime(app=f"file:{module}:")
    status = ended(zoo.nothing.initiate())
    assert (status.state, status.cause) == (State.FAILED, Cause.LAUNCH)
    assert "KeyError: 'missing'" in (status.attempts()[0].traceback or "")
    module.write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport tests.zoo\n")
    make_runtime(app=f"file:{module}:", version="mended")
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED


def test_a_spawned_runner_that_cannot_import_fails_the_row(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    module = tmp_path / "once.py"
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport tests.zoo\n"
    module.write_text(text)
    make_runtime(app=f"file:{module}:")
    ended(zoo.nothing.initiate())
    module.write_text("raise RuntimeError('half a deployment')\n")
    status = ended(zoo.SpawnedTask.initiate({}))
    assert (status.state, status.cause) == (State.FAILED, Cause.LAUNCH), status.attempts()
    assert "half a deployment" in (status.attempts()[0].traceback or "")


def test_a_task_that_nobody_knows_waits_for_a_grace_and_then_fails(own_runtime_both: Runtime) -> None:
    store = own_runtime_both.store
    row = row_of(Call(definition=registry.get("tests.zoo.nothing"), settings={}))
    old = row._replace(id=new_id(), task="zoo.vanished", created_at=row.created_at - timedelta(seconds=60))
    young = row._replace(id=new_id(), task="zoo.vanished")
    store.insert(old)
    store.insert(young)
    ended(zoo.nothing.initiate())
    status = ended(TaskStatus.get(old.id))
    assert (status.state, status.cause, status.error) == (State.FAILED, Cause.LAUNCH, "This could not be started.")
    detail = status.attempts()[0].traceback or ""
    assert "'zoo.vanished'" in detail
    assert "tests.zoo.nothing" in detail
    assert TaskStatus.get(young.id).state is State.QUEUED


def test_a_task_that_only_a_busy_newer_version_knows_is_left_to_it(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    module, go = tmp_path / "grows.py", tmp_path / "go"
    text = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport tests.zoo\n"
    module.write_text(text)
    older = make_runtime(app=f"file:{module}:", heartbeat_interval=0.2)
    ended(zoo.nothing.initiate())
    first = older.store.supervisors()[0]
    module.write_text(text + "import forktask\n\n@forktask.task(name='added')\ndef added(status):\n    return 'new'\n")
    newer = make_runtime(app=f"file:{module}:", version="next", max_running=1)
    wait_message(zoo.wait.initiate({"path": str(go)}), "waiting")
    row = row_of(Call(definition=registry.get("tests.zoo.nothing"), settings={}))
    row = row._replace(task="added", created_at=row.created_at - timedelta(seconds=60))
    newer.store.insert(row)

    def older_has_looked() -> bool:
        heartbeat = next(one.heartbeat_at for one in older.store.supervisors() if one.id == first.id)
        return heartbeat > row.updated_at + timedelta(seconds=RARE_INTERVAL + LOOK_INTERVAL)

    wait_until(older_has_looked, PATIENCE, "the older supervisor's look")
    assert TaskStatus.get(row.id).state is State.QUEUED
    go.touch()
    assert ended(TaskStatus.get(row.id)).result == "new"
