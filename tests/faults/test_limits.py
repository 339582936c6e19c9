"""Values at the edge of what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from forktask import Cause, LiveStatus, State, Task, process
from forktask.runtime import Runtime
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, stays, the_supervisor, wait_message


@pytest.mark.parametrize("size", [200_000, 300_000, 1_000_000])
def test_settings_up_to_the_limit_reach_the_runner(runtime: Runtime, size: int) -> None:
    status = zoo.echo.initiate({"text": "x" * size}).wait(PATIENCE)
    assert status.state is State.COMPLETED, status.error
    assert len(status.result["text"]) == size


@pytest.mark.parametrize("code", [2, 2**31, 10**20, -1])
def test_any_exit_code_ends_the_row(runtime_each: Runtime, code: int) -> None:
    status = zoo.exit_soft.initiate({"code": code}).wait(PATIENCE)
    assert (status.state, status.cause) == (State.FAILED, Cause.EXIT)
    assert status.attempts()[0].exit_code == code & 0xFF


@pytest.mark.parametrize("timeout", ["5", 0, -1, float("inf"), True])
def test_a_timeout_that_is_no_number_of_seconds_is_refused_where_it_is_written(timeout: object) -> None:
    with pytest.raises(TypeError, match="timeout is"):
        type("Wrong", (Task,), {"timeout": timeout, "execute": lambda self, status: None})


def test_a_paused_order_with_private_arguments_keeps_them(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime(max_running=1)
    go = tmp_path / "go"
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    status = Secretive.initiate()
    status.pause()
    go.touch()
    first.wait(PATIENCE)
    zoo.nothing.initiate().wait(PATIENCE)
    runtime.doorbell.close()  # nothing but the order keeps the supervisor here longer than its idle_exit
    supervisor = the_supervisor(runtime.store)
    stays(runtime, runtime.settings.idle_exit + 1.5)
    assert process.is_alive(supervisor)
    assert status.refresh().state is State.PAUSED
    status.resume()
    assert status.wait(PATIENCE).result == "s3cret", status.row


class Secretive(Task):
    """Returns what only its caller could give."""

    @classmethod
    def get_private_arguments(cls) -> dict[str, str]:
        """The secret."""
        return {"key": "s3cret"}

    def execute(self, status: LiveStatus) -> str:
        """Return it; empty if it was lost."""
        return str(self.private_arguments.get("key", ""))
