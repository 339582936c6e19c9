"""Rows of a batch task: one runner executes them together, and each has its own progress and end."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forktask import proof, registry
from forktask.errors import BatchError
from forktask.limit import Limit
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.process.working import log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended, gone, runner_of, supervisor_of, wait_for, wait_message
from tests.waiting import wait_until


def together(*settings: dict[str, Any], task: Any = zoo.TogetherTask) -> list[TaskStatus]:
    found: list[TaskStatus] = task.enqueue_many([{"n": number, **given} for number, given in enumerate(settings)])
    return found


def says(runtime: Runtime, text: str) -> bool:
    return text in log_of(runtime)


def texts(status: TaskStatus) -> str:
    return "".join(row.text for row in status.log())


def causes(statuses: Sequence[TaskStatus]) -> list[Cause | None]:
    return [ended(status).cause for status in statuses]


def test_rows_of_a_batch_have_one_runner_and_an_end_each(runtime_each: Runtime) -> None:
    statuses = together({}, {"do": "fail"}, {"do": "object"}, {}, {}, {}, {})
    assert causes(statuses) == [None, Cause.EXCEPTION, Cause.EXCEPTION, None, None, None, None]
    pid = statuses[0].result["pid"]
    found = [status.result for status in statuses if status.result]
    assert found == [{"n": n, "pid": pid, "of": 5, "attempt": 1} for n in (0, 3, 4)] + [
        {"n": n, "pid": statuses[5].result["pid"], "of": 2, "attempt": 1} for n in (5, 6)
    ]
    attempts = [status.attempts()[0] for status in statuses]
    assert {attempt.pid for attempt in attempts[:5]} == {pid} != {attempt.pid for attempt in attempts[5:]}
    assert attempts[1].error_class == "tests.zoo.CustomError"
    assert "result is a builtins.object" in (attempts[2].traceback or "")
    assert len({(attempt.cpu_seconds, attempt.peak_memory) for attempt in attempts[:5]}) == 1
    assert [(status.percent, status.message) for status in statuses[:2]] == [(100.0, "row 0"), (1.0, "row 1")]
    assert texts(statuses[0]) == "of 0\nof 1\nof 2\nof 3\nof 4\n"
    assert texts(statuses[1]) == f"This ran in a batch, whose output is in the log of {statuses[0].id}.\n"


def test_output_goes_to_the_first_that_stays_where_the_first_is_deleted(runtime_each: Runtime) -> None:
    gone, *statuses = together(
        {}, {}, {"do": "fail"}, {"do": "fail"}, task=zoo.TogetherTask.using(delete_on_completion=True)
    )
    assert causes(statuses[1:]) == [Cause.EXCEPTION] * 2
    assert {runtime_each.store.get(one.id) for one in (gone, statuses[0])} == {None}
    assert texts(statuses[1]) == "of 0\nof 1\nof 2\nof 3\n"
    assert texts(statuses[2]) == f"This ran in a batch, whose output is in the log of {statuses[1].id}.\n"
    assert runtime_each.store.log(gone.id) == []


def test_each_bar_tells_of_its_own_row_and_a_kill_ends_each(
    own_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = together({"do": "say"}, {"do": "hold", "path": "/nowhere"}, {})
    wait_message(statuses[1], "held")
    wait_for(statuses[0], lambda one: one.warnings and one.row.checkpoint)
    runner = runner_of(statuses[0])
    assert [status.refresh().state for status in statuses] == [State.RUNNING] * 3
    assert {status.row.runner_pid for status in statuses} == {runner.pid}
    assert [(one.percent, one.message) for one in statuses] == [(50.0, "said"), (1.0, "held"), (2.0, "row 2")]
    assert [status.warnings for status in statuses] == [["warning 0"], None, None]
    assert [status.row.checkpoint for status in statuses] == [{"n": 0}, None, None]
    phases = [[phase["state"] for phase in status.row.phases or []] for status in statuses]
    assert phases == [["done", "later"], ["later", "later"], ["later", "later"]]
    with pytest.raises(BatchError, match="runs in a batch with 2 others: they would stand still, too"):
        statuses[0].pause()
    with monkeypatch.context() as stranger:
        stranger.setattr(registry, "_tasks", {})  # as on the command line without the application
        stranger.setattr(proof, "READY_FOR", 0.1)
        with pytest.raises(BatchError, match="with 2 others"):
            statuses[0].pause()
    assert statuses[0].refresh().row.pause_requested_at is None
    os.kill(runner.pid, signal.SIGKILL)
    assert causes(statuses) == [Cause.SIGNAL] * 3
    assert [status.attempts()[0].signal for status in statuses] == [signal.SIGKILL] * 3
    assert statuses[1].message == "held"


def test_only_who_asked_for_it_is_run_again(own_runtime: Runtime) -> None:
    statuses = together({}, {"do": "later"}, {}, task=zoo.TogetherAgainTask)
    assert causes(statuses) == [None, None, None]
    assert [(one.result["attempt"], one.result["of"]) for one in statuses] == [(1, 3), (2, 1), (1, 3)]


@pytest.mark.parametrize(
    ("first", "error_class", "said"),
    [
        ({"returns": "short"}, "ValueError", "execute_batch returned 1 results for 2 statuses"),
        ({"returns": "text"}, "TypeError", "execute_batch returned str; it returns a list"),
        ({"do": "fail", "raises": True}, "tests.zoo.CustomError", "of 0"),
    ],
)
def test_what_is_wrong_with_all_ends_each(runtime: Runtime, first: dict[str, Any], error_class: str, said: str) -> None:
    statuses = together(first, {})
    assert causes(statuses) == [Cause.EXCEPTION] * 2
    for status in statuses:
        (attempt,) = status.attempts()
        assert attempt.error_class == error_class
        assert said in (attempt.traceback or "")
    assert statuses[0].row.reference != statuses[1].row.reference


def test_none_is_no_result_for_each(runtime: Runtime) -> None:
    statuses = together({"returns": "nothing"}, {})
    assert causes(statuses) == [None, None]
    assert [status.result for status in statuses] == [None, None]


def test_a_process_that_ends_by_itself_ends_each_and_each_is_run_again(runtime: Runtime) -> None:
    statuses = together({}, {"do": "exit"})
    assert causes(statuses) == [Cause.EXIT] * 2
    assert [status.attempts()[0].exit_code for status in statuses] == [3, 3]
    again = together({}, {"do": "kill"}, task=zoo.TogetherAgainTask)
    assert causes(again) == [None, None]
    assert [status.result["attempt"] for status in again] == [2, 2]


def test_who_is_cancelled_takes_no_other_along(runtime: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    statuses = together({}, {"do": "hold", "path": str(go)}, {"do": "hold", "path": str(go)})
    wait_message(statuses[1], "held")
    statuses[1].cancel()
    wait_message(statuses[2], "held")
    assert statuses[1].refresh().state is State.RUNNING  # it ends with the others
    go.touch()
    assert causes(statuses) == [None, Cause.CANCELLED, None]


def test_who_is_ended_by_the_cancel_of_another_was_interrupted(runtime: Runtime) -> None:
    held: dict[str, Any] = {"do": "hold", "path": "/nowhere", "raises": True}
    statuses = together({}, held)
    again = together({}, held, task=zoo.TogetherAgainTask)
    for two in (statuses, again):
        wait_message(two[1], "held")
        two[1].cancel()
    assert causes(statuses) == [Cause.INTERRUPTED, Cause.CANCELLED]
    assert statuses[0].error == "This was interrupted because another one that ran together with it was cancelled."
    assert causes(again) == [None, Cause.CANCELLED]
    assert again[0].result["of"] == 1
    assert [attempt.cause for attempt in again[0].attempts()] == [Cause.INTERRUPTED, None]


def test_a_runner_whose_rows_are_all_cancelled_is_ended_whatever_it_does(runtime: Runtime) -> None:
    statuses = together({}, {"do": "stand still"})
    wait_message(statuses[1], "standing still")
    runner = runner_of(statuses[0])
    for status in statuses:
        status.cancel()
    assert causes(statuses) == [Cause.CANCELLED] * 2
    gone(runner)


def test_what_was_done_before_the_time_was_up_is_kept(runtime: Runtime) -> None:
    statuses = together({}, {"do": "hold", "path": "/nowhere"}, {}, {"do": "say"}, task=zoo.TogetherShortTask)
    assert causes(statuses) == [None, Cause.TIMEOUT, None, Cause.TIMEOUT]
    stubborn = together({}, {"do": "stand still"}, task=zoo.TogetherShortTask)
    assert causes(stubborn) == [Cause.TIMEOUT] * 2


def test_rows_of_a_supervisor_that_is_killed_are_all_lost(own_runtime: Runtime) -> None:
    statuses = together({}, {"do": "stand still"})
    wait_message(statuses[1], "standing still")
    runner = runner_of(statuses[0])
    os.kill(supervisor_of(statuses[0]).pid, signal.SIGKILL)
    assert causes(statuses) == [Cause.SUPERVISOR_GONE] * 2
    gone(runner)


def test_a_batch_is_one_runner_and_counts_for_each_row_under_a_limit(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(start_method="inline")
    go = tmp_path / "go"
    held = [{"n": number, "do": "hold", "path": str(go)} for number in range(4)]
    limited = zoo.TogetherTask.using(limit=Limit(running=3)).enqueue_many(held)
    with workers(runtime) as start:
        start("--processes", "2")
        wait_message(limited[0], "held")
        others = zoo.TogetherTask.enqueue_many(held)
        wait_message(others[0], "held")
        assert [status.refresh().state for status in limited] == [State.RUNNING] * 3 + [State.QUEUED]
        assert {status.refresh().state for status in others} == {State.RUNNING}
        go.touch()
        assert [ended(status).result["of"] for status in [*limited, *others]] == [3, 3, 3, 1, 4, 4, 4, 4]


def test_the_places_that_a_batch_leaves_are_taken_at_once(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(start_method="inline")
    go = tmp_path / "go"
    held, other = together(*[{"do": "hold", "path": str(go)}] * 3), zoo.echo.enqueue({})
    with workers(runtime) as start:
        # It looks once an hour by itself.
        start("--processes", "2", "--sleep", "3600", FORKTASK_APP="tests.zoo_apps.rare:")
        assert ended(other).result == {}
        assert {status.refresh().state for status in held} == {State.RUNNING}
        go.touch()
        assert causes(held) == [None] * 3


def test_a_worker_that_keeps_runners_or_ends_after_so_many_has_batches(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method="inline")
    statuses, others = together(*[{}] * 7), zoo.echo.enqueue_many([{"n": number} for number in range(3)])
    spawned = zoo.TogetherTask.using(start_method="spawn", priority=90).enqueue_many([{"n": 1}, {"n": 2}])
    with workers(runtime) as start:
        assert start("--processes", "1", "--max-tasks", "6", ready=False).wait(PATIENCE) == 0
        assert [ended(status).result["of"] for status in [*spawned, *statuses[:4]]] == [2, 2, 4, 4, 4, 4]
        assert {status.refresh().state for status in [*statuses[4:], *others]} == {State.QUEUED}
        assert start("--processes", "1", "--tasks-per-runner", "9", "--drain", ready=False).wait(PATIENCE) == 0
    assert [ended(status).result["of"] for status in statuses[4:]] == [3, 3, 3]
    assert [ended(status).result["n"] for status in others] == [0, 1, 2]


def test_what_a_worker_interrupts_is_run_again(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(start_method="inline")
    go = tmp_path / "go"
    statuses = together({}, {"do": "hold", "path": str(go)}, {}, task=zoo.TogetherAgainTask)
    with workers(runtime) as start:
        worker = start()
        wait_message(statuses[1], "held")
        for number in range(2):
            worker.send_signal(signal.SIGTERM)
            wait_until(partial(says, runtime, f"told to end ({number + 1})"), PATIENCE)
        assert worker.wait(PATIENCE) == 0
        assert log_of(runtime).count(" cause=interrupted ") >= 1
        assert [status.refresh().state for status in statuses] == [State.COMPLETED, State.QUEUED, State.COMPLETED]
        go.touch()
        assert start("--drain", ready=False).wait(PATIENCE) == 0
    assert [ended(status).result["attempt"] for status in statuses] == [1, 2, 1]
