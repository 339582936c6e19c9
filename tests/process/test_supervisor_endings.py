"""How an attempt ends, and what the person and the operator read of it."""

from __future__ import annotations

import re
import signal

import pytest

from forktask.rows import AttemptRow
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.status import TaskStatus
from tests import zoo
from tests.runtimes import ended

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


@pytest.mark.parametrize("code", [0, 3])
def test_os_exit_is_a_failure_whatever_its_code(runtime: Runtime, code: int) -> None:
    status = zoo.exit_hard.initiate({"code": code})
    attempt = failed(status, Cause.EXIT)
    assert (attempt.exit_code, attempt.signal) == (code, None)
    assert status.error == "The process that did the work ended before it was done."


@pytest.mark.parametrize(("argument", "code"), [(0, 0), (4, 4), ("told why", 1)])
def test_sys_exit_is_a_failure_whatever_its_code(runtime: Runtime, argument: object, code: int) -> None:
    attempt = failed(zoo.exit_soft.initiate({"code": argument}), Cause.EXIT)
    assert attempt.exit_code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGUSR1])
def test_a_kill_names_the_signal(runtime_each: Runtime, number: signal.Signals) -> None:
    status = zoo.kill_itself.initiate({"number": int(number)})
    attempt = failed(status, Cause.SIGNAL)
    assert attempt.signal == number
    assert status.error == f"The process that did the work was killed ({number.name})."
    assert status.message == "about to die"


def test_a_segmentation_fault_is_told(runtime: Runtime) -> None:
    attempt = failed(zoo.segfault.initiate(), Cause.SIGNAL)
    assert attempt.signal == signal.SIGSEGV


def test_a_keyboard_interrupt_in_the_task_is_an_exception(runtime: Runtime) -> None:
    attempt = failed(zoo.interrupt.initiate(), Cause.EXCEPTION)
    assert attempt.error_class == "KeyboardInterrupt"


def test_python_without_memory_is_out_of_memory(runtime: Runtime) -> None:
    status = zoo.devour.initiate()
    attempt = failed(status, Cause.OUT_OF_MEMORY)
    assert attempt.error_class == "MemoryError"
    assert status.error == "There was not enough memory for this."


def test_a_result_that_is_not_json_is_refused_by_its_path(runtime: Runtime) -> None:
    status = zoo.return_object.initiate()
    attempt = failed(status, Cause.EXCEPTION)
    assert status.result is None
    assert attempt.traceback and "result['when']" in attempt.traceback
    assert "object" not in (status.error or "")


def test_a_large_result_is_kept_and_a_larger_one_refused_by_its_size(runtime_each: Runtime) -> None:
    status = ended(zoo.return_large.initiate({"size": 1_000_000}))
    assert len(status.result) == 1_000_000
    attempt = failed(zoo.return_large.initiate({"size": 2_000_000}), Cause.EXCEPTION)
    assert attempt.traceback and "2000002 bytes" in attempt.traceback


def test_a_pool_of_multiprocessing_works_inside_a_task(runtime: Runtime) -> None:
    status = ended(zoo.use_pool.initiate())
    assert (status.state, status.result) == (State.COMPLETED, [1, 2, 3]), status.attempts()


def test_a_child_that_comes_back_out_of_execute_does_not_speak_for_the_runner(runtime: Runtime) -> None:
    attempt = failed(zoo.fork_and_raise.initiate({}), Cause.SIGNAL)
    assert attempt.signal == signal.SIGKILL
    assert attempt.error_class is None


def test_a_stop_that_comes_after_the_work_is_done_takes_nothing_back(runtime: Runtime) -> None:
    status = ended(zoo.end_and_be_stopped.initiate())
    assert (status.state, status.result) == (State.COMPLETED, "done"), status.attempts()
