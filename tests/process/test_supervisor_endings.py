"""How an attempt ends, and what the person and the operator read of it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from forktask import process
from forktask.rows import AttemptRow
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, runner_of
from tests.waiting import wait_until

SLOW = """
import select, sys
from pathlib import Path
sys.path.insert(0, {root!r})
import forktask, tests.zoo
while sys.argv[1] == "run":
    Path({file!r}).touch()
    select.select((), (), (), 0.02)
"""
"""A program that a runner in an interpreter of its own never comes to the end of."""
REFERENCE = re.compile(r"[2-9A-Z]{4}-[2-9A-Z]{4}")


def only_attempt(status: TaskStatus) -> AttemptRow:
    (attempt,) = status.attempts()
    assert attempt.state is status.state
    assert attempt.cause is status.cause
    assert attempt.reference == status.reference
    assert attempt.pid
    assert attempt.started_at and attempt.started_at <= attempt.finished_at
    return attempt


def failed(status: TaskStatus, cause: Cause) -> AttemptRow:
    ended(status)
    assert (status.state, status.cause) == (State.FAILED, cause), (status.row, status.attempts())
    assert REFERENCE.fullmatch(status.reference or "")
    assert status.finished_at
    return only_attempt(status)


def test_an_exception_gives_the_person_a_sentence_and_the_operator_a_traceback(runtime_each: Runtime) -> None:
    status = zoo.fail.initiate()
    attempt = failed(status, Cause.EXCEPTION)
    assert status.error == "Something went wrong while this was running."
    assert (status.percent, status.message) == (42, "Reading the secret file")
    assert attempt.error_class == "tests.zoo.CustomError"
    assert attempt.traceback and "CustomError: the secret is 1234" in attempt.traceback
    assert "in fail" in attempt.traceback
    assert attempt.exit_code == 1 and attempt.signal is None
    assert attempt.cpu_seconds is not None and attempt.peak_memory and attempt.peak_memory > 2**20


@pytest.mark.parametrize("sentence", ["The file has no header.", "Zeile „ä“ 😀", "a\0b", "\udcff"], ids=ascii)
def test_a_task_error_says_its_own_sentence(runtime_each: Runtime, sentence: str) -> None:
    # Settings hold neither NUL nor surrogates: the task makes them.
    status = zoo.fail_with_sentence.initiate({"sentence": ascii(sentence)})
    attempt = failed(status, Cause.EXCEPTION)
    storable = sentence.replace("\0", "").replace("\udcff", "?")
    assert status.error == storable
    assert attempt.error_class == "forktask.errors.TaskError"
    assert attempt.traceback and "TaskError" in attempt.traceback


def test_what_was_said_before_a_kill_is_kept(runtime_each: Runtime) -> None:
    status = zoo.kill_itself.initiate({"number": 9})
    failed(status, Cause.SIGNAL)
    assert status.message == "about to die"


def test_a_large_result_is_kept_and_a_larger_one_refused_by_its_size(runtime_each: Runtime) -> None:
    status = ended(zoo.return_large.initiate({"size": 1_000_000}))
    assert len(status.result) == 1_000_000
    attempt = failed(zoo.return_large.initiate({"size": 2_000_000}), Cause.EXCEPTION)
    assert attempt.traceback and "2000002 bytes" in attempt.traceback


def test_a_pool_of_multiprocessing_works_inside_a_task(runtime: Runtime) -> None:
    status = ended(zoo.use_pool.initiate())
    assert (status.state, status.result) == (State.COMPLETED, [1, 2, 3]), status.attempts()


def test_a_process_that_the_task_forks_is_ended_by_sigterm_as_ever(runtime: Runtime) -> None:
    status = ended(zoo.terminate_a_child.initiate())
    assert (status.state, status.result) == (State.COMPLETED, -signal.SIGTERM), status.attempts()


def test_a_child_that_comes_back_out_of_execute_does_not_speak_for_the_runner(runtime: Runtime) -> None:
    attempt = failed(zoo.fork_and_raise.initiate({}), Cause.SIGNAL)
    assert attempt.signal == signal.SIGKILL
    assert attempt.error_class is None


def test_a_stop_that_comes_after_the_work_is_done_takes_nothing_back(runtime: Runtime) -> None:
    status = ended(zoo.end_and_be_stopped.initiate())
    assert (status.state, status.result) == (State.COMPLETED, "done"), status.attempts()


def test_a_runner_that_is_terminated_before_it_executes_was_killed(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    program, file = tmp_path / "slow.py", tmp_path / "importing"
    program.write_text(SLOW.format(root=str(Path(__file__).parents[2]), file=str(file)))
    make_runtime(app=f"file:{program}:")
    status = zoo.nothing.using(start_method="spawn").initiate()
    wait_until(file.exists, PATIENCE, "the import in the runner")
    process.send_signal(runner_of(status), signal.SIGTERM)
    assert failed(status, Cause.SIGNAL).signal == signal.SIGTERM
