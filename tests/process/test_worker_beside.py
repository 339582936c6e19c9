"""What a worker will not take from its queues, the supervisor of the web processes takes."""

from __future__ import annotations

import signal
from pathlib import Path

from forktask import host
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.keeping import KEEP
from tests.process.working import log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, wait_message
from tests.waiting import wait_until


def kind_of(runtime: Runtime) -> str:
    """Return by what kind of supervisor a row is run that is left to the queue `default`."""
    status = ended(zoo.echo.enqueue({}))
    assert status.state is State.COMPLETED
    rows = runtime.store.database.run(
        lambda cursor: cursor.execute("SELECT id, kind FROM forktask_supervisor").fetchall()
    )
    return dict(rows)[status.row.supervisor_id.hex] if status.row.supervisor_id else ""


def test_a_task_that_the_worker_ignores(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    ended(zoo.nothing.initiate())  # there is a supervisor
    with workers(runtime) as start:
        start("--ignore", zoo.echo.name)
        assert kind_of(runtime) == "embedded"


def test_a_worker_of_one_status_serves_no_queue(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime, go = make_runtime(), tmp_path / "go"
    zoo.nothing.using(queue="other").enqueue().cancel()
    runtime.store.pause_queue("other")
    running = zoo.wait.using(queue="other").enqueue({"path": str(go)})
    with workers(runtime) as start:
        start("--id", str(running.id))
        wait_message(running, "waiting")
        assert kind_of(runtime) == "embedded"
        go.touch()


def test_a_worker_that_was_told_to_end_and_still_finishes(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime, go = make_runtime(), tmp_path / "go"
    with workers(runtime) as start:
        worker = start()
        assert kind_of(runtime) == "worker"
        running = zoo.wait.enqueue({"path": str(go)})
        wait_message(running, "waiting")
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: not any(row.queues for row in runtime.store.supervisors()), PATIENCE, "its word")
        assert kind_of(runtime) == "embedded"
        go.touch()
        assert worker.wait(PATIENCE) == 0
    assert running.refresh().state is State.COMPLETED


def test_a_worker_that_hangs(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(lost_after=2.0)
    with workers(runtime) as start:
        worker = start()
        worker.send_signal(signal.SIGSTOP)
        try:
            ended(zoo.nothing.initiate())  # there is a supervisor
            assert kind_of(runtime) == "embedded"
        finally:
            worker.send_signal(signal.SIGCONT)


def test_a_killed_worker_leaves_no_bell(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime, go = make_runtime(), tmp_path / "go"
    folder = Path(host.private_directory(runtime.settings.runtime_dir).path)
    with workers(runtime) as start:
        worker = start()
        wait_until(lambda: any(folder.glob("bell.*")), PATIENCE, "a bell")
        worker.kill()
        worker.wait(PATIENCE)
    running = zoo.wait.initiate({"path": str(go)})  # there is a supervisor
    wait_until(lambda: not any(folder.glob("bell.*")), PATIENCE, "its end")
    go.touch()
    ended(running)


def test_what_is_initiated_needs_no_place_of_the_worker_to_which_it_comes(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method="inline")
    with workers(runtime) as start:
        start("--processes", "1", "--tasks-per-runner", "9")
        status = ended(zoo.await_another.enqueue())
    (other,) = TaskStatus.find(task=zoo.nothing.name)
    assert (status.result, log_of(runtime).count(f"started task={zoo.nothing.name} id={other.id}")) == ("completed", 1)


def test_behind_what_is_initiated_nothing_of_a_queue_begins_for_which_there_is_no_place(
    make_runtime: MakeRuntime,
) -> None:
    runtime = make_runtime(start_method="inline")
    status = zoo.await_many.enqueue()
    zoo.echo.enqueue_many([{}] * 60)
    with workers(runtime) as start:
        start(*KEEP)
        assert ended(status).result == 0, "so many ran beside it"
