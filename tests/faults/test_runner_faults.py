"""What a task can do to its own process: a table of faults."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from forktask import process
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.task import FunctionTask
from tests import zoo
from tests.faults import harm
from tests.faults.truth import DONE, Truth, nothing_else_touched, tells
from tests.runtimes import ended, wait_message

WRONG = "Something went wrong while this was running."
ENDED = "The process that did the work ended before it was done."


class Fault(NamedTuple):
    """What a task does, and how the row has to tell it."""

    task: FunctionTask[..., Any]
    settings: dict[str, Any]
    truth: Truth
    shows: str = ""
    """What the operator finds in the attempt."""


def killed(number: signal.Signals) -> Truth:
    return Truth(cause=Cause.SIGNAL, signal=number, says=f"The process that did the work was killed ({number.name}).")


def raised(says: str = WRONG, cause: Cause = Cause.EXCEPTION) -> Truth:
    return Truth(cause=cause, says=says, exit_code=1)


def left(code: int) -> Truth:
    return Truth(cause=Cause.EXIT, says=ENDED, exit_code=code)


NO_MEMORY = raised("There was not enough memory for this.", Cause.OUT_OF_MEMORY)
FAULTS = {
    "SIGKILL": Fault(zoo.kill_itself, {"number": 9}, killed(signal.SIGKILL)),
    "SIGABRT": Fault(zoo.kill_itself, {"number": 6}, killed(signal.SIGABRT)),
    "SIGUSR1": Fault(zoo.kill_itself, {"number": 10}, killed(signal.SIGUSR1)),
    "SIGSEGV": Fault(zoo.segfault, {}, killed(signal.SIGSEGV)),
    "os._exit(0)": Fault(zoo.exit_hard, {"code": 0}, left(0)),
    "os._exit(3)": Fault(zoo.exit_hard, {"code": 3}, left(3)),
    "sys.exit()": Fault(zoo.exit_soft, {"code": None}, left(0)),
    "sys.exit(4)": Fault(zoo.exit_soft, {"code": 4}, left(4)),
    "sys.exit(text)": Fault(zoo.exit_soft, {"code": "told why"}, left(1)),
    "KeyboardInterrupt": Fault(zoo.interrupt, {}, raised(), "KeyboardInterrupt"),
    "MemoryError": Fault(zoo.devour, {}, NO_MEMORY, "MemoryError"),
    "result is no JSON": Fault(zoo.return_object, {}, raised(), "result['when'] is a builtins.object"),
    "result holds NUL": Fault(harm.return_nul, {}, raised(), "result['lines'][1] contains a NUL"),
    "closes all descriptors but 0 to 2": Fault(harm.close_descriptors, {"first": 3}, left(1)),
    "closes all descriptors": Fault(harm.close_descriptors, {"first": 0}, left(1)),
    "leaves a child that ignores everything": Fault(harm.leave, {"own_session": False}, DONE),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_task_ends_its_own_row_truly_and_nothing_else(
    runtime_each: Runtime, tmp_path: Path, name: str
) -> None:
    fault = FAULTS[name]
    with nothing_else_touched(runtime_each, tmp_path):
        attempt = tells(fault.task.initiate(fault.settings), fault.truth)
    assert fault.shows in f"{attempt.error_class} {attempt.traceback}"


def test_a_task_that_ignores_sigterm_is_killed(runtime_each: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(runtime_each, tmp_path):
        status = zoo.stubborn.initiate()
        wait_message(status, "ready")
        cancelled = Truth(
            state=State.CANCELLED, cause=Cause.CANCELLED, says="This was cancelled.", signal=signal.SIGKILL
        )
        tells(status.cancel(), cancelled)


def test_what_a_task_that_closed_all_descriptors_returned_is_found_in_its_output(runtime_each: Runtime) -> None:
    status = harm.close_descriptors.initiate({"first": 3})
    tells(status, left(1))
    assert status.message == "after"
    output = "".join(row.text for row in status.log())
    assert output.startswith("printed before\nforktask: [Errno 9] the task has closed the connection")
    assert '"value": "done"' in output


def test_a_connection_that_took_the_number_of_the_closed_one_hears_nothing(runtime_each: Runtime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        status = harm.close_and_connect.initiate({"port": listener.getsockname()[1]})
        tells(status, left(1))
        for _ in range(harm.CONNECTIONS):
            with listener.accept()[0] as heard:
                assert heard.recv(100) == b""


def test_what_gave_itself_a_session_of_its_own_is_left_alone(runtime_each: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(runtime_each, tmp_path):
        status = harm.leave.initiate({"own_session": True})
        tells(status, DONE)
        daemon = process.identify(status.result)
        assert process.send_signal(daemon, signal.SIGKILL)


def test_a_task_that_changes_directory_umask_and_environment_changes_its_own(
    runtime_each: Runtime, tmp_path: Path
) -> None:
    before = ended(harm.surroundings.initiate()).result
    with nothing_else_touched(runtime_each, tmp_path):
        tells(harm.change_surroundings.initiate(), DONE)
        for _ in range(2):
            assert ended(harm.surroundings.initiate()).result == before


def test_text_that_databases_refuse_is_kept_as_far_as_it_can_be(runtime_each: Runtime, tmp_path: Path) -> None:
    readable, shown = harm.STRANGE.replace("\0", ""), harm.STRANGE.replace("\0", "\ufffd")
    with nothing_else_touched(runtime_each, tmp_path):
        status = harm.say_strange.using(title=readable).initiate({"text": readable})
        tells(status, DONE)
    assert (status.title, status.settings, status.result) == (readable, {"text": readable}, readable)
    assert (status.message, status.unit, status.warnings) == (shown, shown, [shown])
    assert status.checkpoint == {"at": readable}
    assert [(row.level, row.text) for row in status.log()] == [("WARNING", readable + "\n"), (None, readable + "\n")]
