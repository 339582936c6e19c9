"""A row that the database refuses, that somebody deletes, or of which the supervisor never hears."""

from __future__ import annotations

import signal
from pathlib import Path

from forktask import process
from forktask.runtime import Runtime
from forktask.states import Cause
from tests import zoo
from tests.databases import order
from tests.faults.truth import DONE, Truth, nothing_else_touched, tells
from tests.runtimes import MakeRuntime, ended, gone, runner_of, the_supervisor, wait_message

REFUSES = {
    "sqlite": "CREATE TRIGGER refuses BEFORE UPDATE ON forktask_status WHEN NEW.result LIKE '%refuse%' "
    "BEGIN SELECT RAISE(ABORT, 'refused'); END",
    "postgresql": "ALTER TABLE forktask_status ADD CHECK (position('refuse' IN result::text) = 0)",
}
REFUSED = Truth(cause=Cause.EXCEPTION, says="The result could not be stored.")


def test_an_end_that_the_database_refuses_is_written_without_what_the_task_gave(
    make_runtime_both: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime_both()
    ended(zoo.nothing.initiate())
    order(runtime.settings.database_url, REFUSES[runtime.store.database.kind])
    with nothing_else_touched(runtime, tmp_path):
        attempt = tells(zoo.echo.initiate({"a": "refuse me"}), REFUSED)
    assert attempt.traceback and attempt.traceback.startswith("the database refused")


def test_the_runner_of_a_row_that_somebody_deletes_is_killed(own_runtime_both: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(own_runtime_both, tmp_path) as bystander:
        status = zoo.wait.initiate({"path": "/nowhere"})
        wait_message(status, "waiting")
        runner = runner_of(status)
        order(
            own_runtime_both.settings.database_url,
            f"DELETE FROM forktask_status WHERE task = '{status.task}' AND message = 'waiting' "
            f"AND runner_pid <> {bystander.pid}",
        )
        gone(runner)


def test_an_order_for_which_the_supervisors_socket_has_no_room_is_found_in_the_table(
    make_runtime_both: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime_both()
    with nothing_else_touched(runtime, tmp_path):
        supervisor = the_supervisor(runtime.store)
        assert process.send_signal(supervisor, signal.SIGSTOP)
        while runtime.doorbell.ring(["hello"]):
            pass
        status = zoo.echo.initiate()
        assert process.send_signal(supervisor, signal.SIGCONT)
        tells(status, DONE)
