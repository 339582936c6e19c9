"""Of which ends an application is told."""

from __future__ import annotations

import selectors
from types import SimpleNamespace
from typing import Any

import pytest

from forktask import hooks, signals
from forktask.rows import new_id
from forktask.states import Cause, State
from forktask.supervisor.aftermath import Aftermath
from tests.store.examples import a_row, an_end


class WithoutProcesses:
    """A fleet whose machine refuses processes, so that what would be told is only counted."""

    preloaded = SimpleNamespace(can_fork=True)

    def take_spare(self) -> Any:
        raise BlockingIOError("Resource temporarily unavailable")


def test_it_is_told_of_no_end_that_is_not_in_the_table(caplog: pytest.LogCaptureFixture) -> None:
    aftermath = Aftermath(selectors.SelectSelector(), WithoutProcesses())  # type: ignore[arg-type]
    rows = [a_row() for _ in range(3)]
    ends = [an_end(row, State.FAILED) for row in rows]
    with signals.task_failed.connected_to(lambda sender, **told: None):
        for row, end in zip(rows, ends, strict=True):
            aftermath.note(SimpleNamespace(row=row), end)  # type: ignore[arg-type]
    aftermath.tend(ends, {ends[1].status_id, new_id()})
    assert "nobody is told of 2 ends" in caplog.text
    caplog.clear()
    aftermath.tend(ends, set())
    assert not caplog.text, "it was kept"


@pytest.mark.parametrize("change", [None, "id", "state", "cause", "task"])
def test_what_no_process_of_this_version_would_send_is_refused_at_once(change: str | None) -> None:
    aftermath = Aftermath(selectors.SelectSelector(), WithoutProcesses())  # type: ignore[arg-type]
    end: Any = hooks.described("task", new_id(), 1, State.LOST, Cause.SUPERVISOR_GONE)
    wrong: Any = "an end" if change is None else end | {change: 7}
    with pytest.raises((TypeError, ValueError, AttributeError)):
        aftermath.see(wrong)
    assert not aftermath.is_busy, "whoever is told later would have to bear it"
    aftermath.see(end)
    assert aftermath.is_busy
