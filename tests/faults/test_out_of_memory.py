"""The kernel kills a runner for its memory."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from forktask import LiveStatus, Retry, Task
from forktask.runtime import Runtime
from forktask.states import Cause
from tests.faults.truth import Truth, nothing_else_touched, tells
from tests.runtimes import PATIENCE
from tests.waiting import wait_until

CONTROL_GROUPS = Path("/sys/fs/cgroup")
LIMIT = 64 * 1024 * 1024
KILLED = Truth(cause=Cause.OUT_OF_MEMORY, says="There was not enough memory for this.", signal=signal.SIGKILL)


class GreedyTask(Task):
    """Moves into the control group `group` and wants more memory than that has."""

    retry = Retry(attempts=4, backoff=0.01)

    def execute(self, status: LiveStatus) -> int:
        """Take four times the limit, page by page."""
        Path(status.settings["group"], "cgroup.procs").write_text(str(os.getpid()))
        return len(bytearray(os.urandom(1)) * (4 * LIMIT))


@pytest.fixture
def group() -> Iterator[Path]:
    """Make a control group with a limit of memory, of either version; skip where that is not allowed."""
    first = CONTROL_GROUPS / "memory"
    parent, limit = (first, "memory.limit_in_bytes") if first.is_dir() else (CONTROL_GROUPS, "memory.max")
    made = parent / f"forktask-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    try:
        try:
            (made / limit).write_text(str(LIMIT))
        except OSError as error:
            pytest.skip(f"a control group takes no limit of memory: {error}")
        for no_swap, value in (("memory.swappiness", "0"), ("memory.swap.max", "0")):
            with suppress(OSError):
                (made / no_swap).write_text(value)
        yield made
    finally:
        wait_until(lambda: _removed(made), PATIENCE, "the end of the control group")


def _removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


def test_a_kill_for_memory_is_told_as_what_it_is_and_tried_once_more(
    own_runtime_both: Runtime, group: Path, tmp_path: Path
) -> None:
    with nothing_else_touched(own_runtime_both, tmp_path):
        status = GreedyTask.initiate({"group": str(group)})
        tells(status, KILLED)
    assert [(one.cause, one.signal) for one in status.attempts()] == [(Cause.OUT_OF_MEMORY, signal.SIGKILL)] * 2
    assert (status.attempts()[0].peak_memory or 0) > LIMIT / 2
