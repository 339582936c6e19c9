"""What else a worker is told: how many at once, where it writes, what its tasks get, which application it is for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.commands import environment, run
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, wait_message
from tests.waiting import wait_until


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself: what it enqueues waits for a worker."""
    return make_runtime(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def told(process: subprocess.Popen[str]) -> None:
    """Return once a worker has ended by itself."""
    assert process.wait(PATIENCE) == 0


def names(worker: subprocess.Popen[str]) -> set[str]:
    """Return what `ps -o comm` says of a worker and its children."""
    pids = [worker.pid, *(child.pid for child in psutil.Process(worker.pid).children())]
    return {Path(f"/proc/{pid}/comm").read_text().rstrip("\n") for pid in pids}


def test_ps_shows_what_each_process_does(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    running = zoo.wait_and_report.enqueue({"path": str(tmp_path / "go")})
    worker = start_worker("-q", "default", "-q", "mail")
    wait_message(running, "waiting")
    expected = {"forktask worker", "nursery", "forktask spare", "task:wait_and_r"}
    wait_until(lambda: names(worker) == expected, PATIENCE, "their names")
    assert [*filter(None, psutil.Process(worker.pid).cmdline())][-3:] == ["worker", "default", "mail"]
    (tmp_path / "go").touch()


def test_there_are_more_at_once_while_rows_wait(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    statuses = [zoo.wait.enqueue({"path": str(go)}) for _ in range(6)]

    def running() -> int:
        return sum(status.refresh().state is State.RUNNING for status in statuses)

    start_worker("--processes", "1-4", FORKTASK_SPARE_RUNNERS="9")
    wait_until(lambda: running() == 1, PATIENCE, "the first")
    wait_until(lambda: running() == 4, PATIENCE, "as many as may be")
    assert "processes=2 of 1-4\n" in (log := log_of(left))
    assert "processes=4 of 1-4\n" in log
    go.touch()
    wait_until(lambda: all(status.refresh().is_final for status in statuses), PATIENCE, "their ends")
    wait_until(lambda: "processes=1 of 1-4\n" in log_of(left), PATIENCE, "a calm")


def test_one_batch_is_as_large_as_may_be(left: Runtime, start_worker: StartWorker) -> None:
    statuses = [zoo.nothing.enqueue() for _ in range(4)]
    told(start_worker("--once", "--processes", "1-3", ready=False))
    assert sum(status.refresh().state is State.COMPLETED for status in statuses) == 3


@pytest.mark.parametrize("processes", ["0", "4-2", "1-99999", "many", "-1"])
def test_a_number_of_processes_that_is_none_is_refused(left: Runtime, processes: str) -> None:
    assert "is no number of processes" in run(left, "worker", "--processes", processes, code=2)


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_arguments_of_the_worker_reach_its_tasks(left: Runtime, start_worker: StartWorker, method: str) -> None:
    status = zoo.worker_arguments.using(start_method=method).enqueue()
    told(start_worker("--drain", "--", "--region", "eu west", "--", "-q", "x", ready=False))
    assert status.refresh().result == ["--region", "eu west", "--", "-q", "x"]
    assert zoo.worker_arguments.initiate().result == []


def test_a_stray_word_is_no_argument(left: Runtime) -> None:
    assert "unexpected extra argument" in run(left, "worker", "reports", code=2)


def test_the_output_of_tasks_stands_in_a_file_line_by_line(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    path = tmp_path / "out.log"
    path.write_text("before\n")
    status = zoo.print_lines.enqueue()
    told(start_worker("--drain", "--output", str(path), ready=False))
    assert path.read_text().startswith("before\n")
    assert told_by(path.read_text(), status) == ["printed", "two", "lines", "logged", "unended"]
    assert log_of(left) == ""


def test_the_output_may_go_to_standard_output(left: Runtime, tmp_path: Path) -> None:
    status = zoo.print_lines.enqueue()
    command = [sys.executable, "-m", "forktask", "worker", "--drain", "--output", "-"]
    done = subprocess.run(command, env=environment(left), capture_output=True, text=True, check=True)
    assert told_by(done.stdout, status) == ["printed", "two", "lines", "logged", "unended"]
    assert " started task=" in done.stdout
    assert done.stderr == ""


def told_by(text: str, status: TaskStatus) -> list[str]:
    mark = f"task={status.task} id={status.id} attempt=1: "
    return [line.partition(mark)[2] for line in text.splitlines() if mark in line]


def test_a_long_log_of_an_operator_is_left_alone(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    path = tmp_path / "out.log"
    path.write_text("x" * 3_000_000)
    worker = start_worker("--output", str(path))
    before = left.store.supervisors()[0].heartbeat_at
    wait_until(lambda: left.store.supervisors()[0].heartbeat_at > before, PATIENCE, "a look")
    worker.terminate()
    told(worker)
    assert path.stat().st_size > 3_000_000


def test_an_output_that_cannot_be_written_is_told(left: Runtime) -> None:
    assert "No such file or directory" in run(left, "worker", "--output", "/nowhere/out.log", code=1)
