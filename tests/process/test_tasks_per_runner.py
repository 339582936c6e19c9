"""`forktask worker --tasks-per-runner`: one process for many short tasks, and each keeps what is its own."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.process.keeping import KEEP, QUICK, drained, gave_back, journal, noting, once_each, pids, told
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, wait_for, wait_message
from tests.waiting import wait_until


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself."""
    return make_runtime(start_method="inline")


@pytest.fixture
def left_each(make_runtime_each: MakeRuntime) -> Runtime:
    """As `left`, on each kind of database in turn."""
    return make_runtime_each(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def test_a_runner_is_kept_for_so_many_tasks_and_then_leaves(left_each: Runtime) -> None:
    statuses = told(*[None] * 10)
    with workers(left_each) as start:
        drained(start, "--processes", "1", "--tasks-per-runner", "4")
    found = pids(statuses)
    assert [len(set(found[:4])), len(set(found[4:8])), len(set(found[8:]))] == [1, 1, 1]
    assert len(set(found)) == 3
    (attempt,) = statuses[1].attempts()
    assert (attempt.pid, attempt.exit_code, attempt.signal) == (found[1], None, None)
    assert attempt.peak_memory and attempt.cpu_seconds is not None and attempt.started_at is not None
    assert left_each.store.supervisors() == []


def test_each_row_has_its_own_output_and_report(left: Runtime, start_worker: StartWorker) -> None:
    statuses = told(None, "line", "buffer", "sentence", None, None)
    spoken = zoo.speak.enqueue({})
    drained(start_worker)
    assert len(set(pids(statuses))) == 1
    texts = ["".join(row.text for row in status.log()) for status in statuses]
    assert texts == [f"of {number}{'' if number == 1 else chr(10)}" for number in range(6)]
    assert [status.message for status in statuses] == ["Done", "Done", "Done", "said", "Done", "Done"]
    assert {status.row.unit for status in statuses} == {None, "words"}
    assert "".join(row.text for row in spoken.log()).count("\n") == 6


def test_what_a_task_leaves_behind_the_next_one_does_not_feel(left: Runtime, start_worker: StartWorker) -> None:
    statuses = told("thread", "program", "limit", "nice", "seed", "seed", "handler", "variable", None)
    drained(start_worker)
    *last_ones, seeder, second, after, _, _ = found = pids(statuses)
    assert len(set(found)) == len({*last_ones, seeder}) == 5
    assert seeder == second == after
    seeded = random.Random(1)
    assert statuses[4].result[1] == statuses[5].result[1] == seeded.random()
    assert statuses[6].result[1] != seeded.random()
    assert [status.result[2:] for status in statuses] == [[False, None]] * 9


def test_an_exception_costs_no_runner(left: Runtime, start_worker: StartWorker) -> None:
    before, failed, after = told(None)[0], zoo.fail.enqueue(), told(None)[0]
    drained(start_worker)
    assert failed.refresh().state is State.FAILED
    assert failed.row.percent == 42
    (attempt,) = failed.attempts()
    assert attempt.error_class == "tests.zoo.CustomError"
    assert {*pids([before, after])} == {attempt.pid}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_costs_the_task_that_ran_alone(
    left: Runtime, start_worker: StartWorker, tmp_path: Path, number: int
) -> None:
    path = tmp_path / "journal"
    first = noting(path, 20)
    dying = zoo.kill_itself.enqueue({"number": int(number)})
    more = zoo.note_start.enqueue_many([{"path": str(path), "n": n} for n in range(20, 60)])
    drained(start_worker, **QUICK)
    assert gave_back(left)
    assert dying.refresh().state is State.FAILED
    assert (dying.cause, dying.row.percent) == (Cause.SIGNAL, 30)
    (attempt,) = dying.attempts()
    assert attempt.signal == number
    once_each([*first, *more], path)


def test_a_runner_killed_from_outside_costs_one_task(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, running, more = noting(path, 5), zoo.wait.enqueue({"path": "/nowhere"}), noting(tmp_path / "more", 5)
    start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    pid = running.refresh().row.runner_pid
    assert pid is not None
    psutil.Process(pid).kill()
    wait_until(lambda: all(status.refresh().is_final for status in [running, *more]), PATIENCE, "all ends")
    assert gave_back(left)
    assert (running.refresh().state, running.cause) == (State.FAILED, Cause.SIGNAL)
    once_each(first, path)
    once_each(more, tmp_path / "more")


def test_a_timeout_costs_one_task(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    first, late, more = (
        noting(tmp_path / "a", 5),
        zoo.ShortTask.enqueue({"path": "/nowhere"}),
        noting(tmp_path / "b", 9),
    )
    drained(start_worker, **QUICK)
    assert gave_back(left)
    assert (late.refresh().state, late.cause) == (State.FAILED, Cause.TIMEOUT)
    once_each(first, tmp_path / "a")
    once_each(more, tmp_path / "b")


@pytest.mark.parametrize("task", [zoo.wait, zoo.wait_and_report, zoo.stubborn])
def test_a_cancel_ends_one_task(left: Runtime, start_worker: StartWorker, tmp_path: Path, task: Any) -> None:
    first, running, more = noting(tmp_path / "a", 5), task.enqueue({"path": "/nowhere"}), noting(tmp_path / "b", 5)
    worker = start_worker(*KEEP, **QUICK)
    wait_for(running, lambda one: one.message)
    running.cancel()
    wait_until(lambda: all(status.refresh().is_final for status in [running, *more]), PATIENCE, "all ends")
    worker.terminate()
    worker.wait(PATIENCE)
    assert gave_back(left)
    assert running.refresh().state is State.CANCELLED
    once_each(first, tmp_path / "a")
    once_each(more, tmp_path / "b")


def test_what_lies_behind_a_long_task_is_given_back(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    noting(tmp_path / "a", 5)
    running, more = zoo.wait.enqueue({"path": str(go)}), noting(tmp_path / "b", 5)
    start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    wait_until(lambda: {status.refresh().state for status in more} == {State.QUEUED}, PATIENCE, "a way out")
    assert gave_back(left)
    go.touch()
    wait_until(lambda: all(status.refresh().is_final for status in more), PATIENCE, "all ends")
    once_each(more, tmp_path / "b")


def test_what_lies_behind_a_long_task_is_given_back_and_can_be_cancelled(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    noting(tmp_path / "a", 5)
    running, more = zoo.wait.enqueue({"path": str(go)}), noting(tmp_path / "b", 5)
    start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    more[1].cancel()
    wait_until(lambda: more[1].refresh().is_final, PATIENCE, "the cancel")
    others = [more[0], *more[2:]]
    wait_until(lambda: {status.refresh().state for status in others} == {State.QUEUED}, PATIENCE, "a way out")
    other = start_worker("--drain", "--processes", "1")  # another worker takes them
    assert other.wait(PATIENCE) == 0
    once_each(others, tmp_path / "b")
    assert more[1].refresh().state is State.CANCELLED
    assert running.refresh().state is State.RUNNING
    assert 1 <= gave_back(left) <= 3  # they did not come again and again while the long one ran
    go.touch()
    wait_until(lambda: running.refresh().state is State.COMPLETED, PATIENCE, "the end")


def test_told_to_end_it_finishes_what_runs_and_gives_the_others_back(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    noting(tmp_path / "a", 5)
    running, more = zoo.wait.enqueue({"path": str(go)}), noting(tmp_path / "b", 5)
    worker = start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    worker.terminate()
    wait_until(lambda: " told to end" in log_of(left), PATIENCE, "a word")
    go.touch()
    assert worker.wait(PATIENCE) == 0
    assert running.refresh().state is State.COMPLETED
    assert {(status.refresh().state, status.attempt) for status in more} == {(State.QUEUED, 1)}
    assert journal(tmp_path / "b") == []
    assert gave_back(left)


def test_a_pause_stops_one_task(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    go = tmp_path / "go"
    noting(tmp_path / "a", 5)
    running, more = zoo.wait.enqueue({"path": str(go)}), noting(tmp_path / "b", 5)
    start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    running.pause()
    wait_until(lambda: running.refresh().state is State.PAUSED and gave_back(left), PATIENCE, "the pause")
    go.touch()
    running.resume()
    wait_until(lambda: all(status.refresh().is_final for status in [running, *more]), PATIENCE, "all ends")
    once_each(more, tmp_path / "b")


def test_what_needs_a_process_of_its_own_has_one(left: Runtime, start_worker: StartWorker) -> None:
    kept = told(None, None)
    spawned = zoo.command_line.using(start_method="spawn").enqueue({})
    more = told(None, None)
    drained(start_worker)
    assert len(set(pids([*kept, *more]))) == 1
    assert spawned.refresh().state is State.COMPLETED
    assert str(spawned.id) in spawned.result


def test_settings_may_be_large_and_processor_time_is_each_ones_own(left: Runtime, start_worker: StartWorker) -> None:
    quick, burnt = told(None)[0], zoo.burn.enqueue({"seconds": 0.3})
    large = zoo.echo.enqueue({"text": "x" * 300_000})
    last = told(None)[0]
    drained(start_worker)
    assert len(large.refresh().result["text"]) == 300_000
    assert len({*pids([quick, last]), burnt.attempts()[0].pid, large.attempts()[0].pid}) == 1
    seconds = [one.attempts()[0].cpu_seconds or 0.0 for one in (quick, burnt, last)]
    assert seconds[1] >= 0.3 > max(seconds[0], seconds[2])


def test_after_so_many_tasks_it_ends(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    statuses = noting(tmp_path / "journal", 30)
    assert start_worker("--max-tasks", "20", *KEEP, ready=False).wait(3 * PATIENCE) == 0
    states = [status.refresh().state for status in statuses]
    assert states == [State.COMPLETED] * 20 + [State.QUEUED] * 10
    assert len(journal(tmp_path / "journal")) == 20
