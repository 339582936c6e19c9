"""Runners that are kept: nothing of one task reaches the next, and what did not run is given back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.process.keeping import KEEP, QUICK, drained, gave_back, journal, noting, pids, told
from tests.process.working import StartWorker, log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, wait_message
from tests.waiting import wait_until


@pytest.fixture
def left(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime that starts nothing by itself."""
    return make_runtime(start_method="inline")


@pytest.fixture
def start_worker(left: Runtime) -> Iterator[StartWorker]:
    with workers(left) as start:
        yield start


def test_what_a_shell_leaves_behind_ends_with_its_runner(left: Runtime, start_worker: StartWorker) -> None:
    statuses = told(None, "orphan", None)
    drained(start_worker)
    first, orphan, after = pids(statuses)
    assert first == orphan != after


def test_a_timer_of_a_task_does_not_fire_in_the_next(left: Runtime, start_worker: StartWorker, tmp_path: Path) -> None:
    statuses = told("alarm")
    start_worker(*KEEP)
    wait_until(lambda: statuses[0].refresh().is_final, PATIENCE, "the first")
    burning = zoo.burn.enqueue({"seconds": 0.3})  # so long that the timer would have fired
    wait_until(lambda: burning.refresh().is_final, PATIENCE, "the second")
    assert burning.state is State.COMPLETED
    assert {burning.attempts()[0].pid} == set(pids(statuses))


def test_what_children_took_that_a_task_did_not_wait_for_does_not_count_for_the_next(
    left: Runtime, start_worker: StartWorker
) -> None:
    burnt, after = zoo.burn_beside.enqueue({"seconds": 0.3}), zoo.tell_process.enqueue({"n": 1, "leave": None})
    drained(start_worker)
    assert pids([after]) == [burnt.refresh().result]
    seconds = [one.attempts()[0].cpu_seconds or 0.0 for one in (burnt, after)]
    assert seconds[0] >= 0.3 > seconds[1]


def test_what_a_task_does_to_its_output_its_folder_and_its_umask_the_next_one_does_not_feel(
    left: Runtime, start_worker: StartWorker
) -> None:
    before = zoo.look_around.enqueue()
    statuses = told("output closed", "output replaced", "output elsewhere", "place", "output unlogged")
    after = zoo.look_around.enqueue()
    drained(start_worker)
    assert len(set(pids([*statuses, before, after]))) == 1
    assert before.result == after.result
    assert ["".join(row.text for row in status.log()) for status in statuses] == [f"of {n}\n" for n in range(5)]
    assert [row.text for row in after.log()] == [row.text for row in before.log()] == ["looks\n", "around\n"]


def test_who_closes_all_descriptors_is_told_so_and_is_the_last_of_its_runner(
    left: Runtime, start_worker: StartWorker
) -> None:
    closing, after = told("output and all", None)
    drained(start_worker)
    assert (closing.refresh().state, closing.cause, closing.attempts()[0].exit_code) == (State.FAILED, Cause.EXIT, 1)
    assert "closed the connection" in "".join(row.text for row in closing.log())
    assert pids([after]) != [closing.attempts()[0].pid]


def test_what_is_unique_until_it_starts_does_not_lie_ready(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    unique = zoo.nothing.using(unique="settings", unique_until="started")
    told(None)
    running, behind, waiting = zoo.wait.enqueue({"path": str(tmp_path / "go")}), told(None)[0], unique.enqueue()
    start_worker(*KEEP, **QUICK)
    wait_message(running, "waiting")
    wait_until(lambda: gave_back(left), PATIENCE, "a way out for what lies ready")
    assert unique.enqueue().id == waiting.id
    (tmp_path / "go").touch()
    wait_until(lambda: waiting.refresh().is_final and behind.refresh().is_final, PATIENCE, "all ends")
    assert {waiting.state, behind.state} == {State.COMPLETED}


def test_who_swallows_a_stop_is_the_last_of_its_runner(left: Runtime, start_worker: StartWorker) -> None:
    swallowing, dying = zoo.swallow_a_stop.enqueue(), zoo.swallow_a_stop.enqueue({"dies": True})
    start_worker(*KEEP)
    wait_message(swallowing, "waiting")
    swallowing.cancel()
    wait_until(lambda: swallowing.refresh().is_final and dying.refresh().is_final, PATIENCE, "both")
    assert swallowing.state is State.COMPLETED
    assert (dying.state, dying.cause) == (State.FAILED, Cause.SIGNAL)
    assert dying.attempts()[0].pid != swallowing.result


def test_told_to_end_in_the_midst_of_many_it_gives_back_what_did_not_run(
    left: Runtime, start_worker: StartWorker, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    statuses = noting(path, 1000, seconds=0.002)  # more than the supervisor needs for one: so some lie ready
    given = 0
    for number in range(4):
        begun = len(journal(path))
        worker = start_worker("--processes", "1", "--tasks-per-runner", "5000", **QUICK)
        wait_until(lambda begun=begun: len(journal(path)) > begun + 100, PATIENCE, "some")  # type: ignore[misc]
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
        rows = {status.settings["n"]: status.refresh() for status in statuses}
        ran = {n for n, one in rows.items() if one.state is State.COMPLETED}
        assert {one.state for one in rows.values()} == {State.COMPLETED, State.QUEUED}
        assert journal(path) == sorted(str(n) for n in ran)
        assert all(rows[n].result == n for n in ran)
        given += " gave back " in log_of(left, number)
        if given == 2:
            break
    assert given == 2


def refusing(start: StartWorker, what: str) -> None:
    """Have a worker do all that is due and leave, where runners that are kept refuse something."""
    worker = start("--drain", *KEEP, ready=False, FORKTASK_APP="tests.zoo_apps.refusing:", REFUSES=what)
    assert worker.wait(3 * PATIENCE) == 0


def test_an_order_that_no_runner_can_be_given_fails(left: Runtime, start_worker: StartWorker) -> None:
    first, large, last = told(None)[0], zoo.echo.enqueue({"text": "x" * 300_000}), told(None)[0]
    refusing(start_worker, "large")
    assert len(pids([first, last])) == 2
    assert (large.refresh().state, large.cause) == (State.FAILED, Cause.LAUNCH)


def test_where_runners_end_at_birth_orders_fail(left: Runtime, start_worker: StartWorker) -> None:
    statuses = told(None, None)
    refusing(start_worker, "all")
    assert {(status.refresh().state, status.cause) for status in statuses} == {(State.FAILED, Cause.LAUNCH)}
    assert "3 processes in a row ended" in log_of(left)
