"""Rows, processes and moments made up for tests of the rules."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.soak.journal import Line
from tests.soak.processes import Seen
from tests.soak.rules import Rule
from tests.soak.snapshot import Attempt, Row, Snapshot, Supervisor

ROW = Row(
    id="a",
    task="shop.Short",
    state="running",
    attempt=1,
    max_attempts=3,
    percent=10.0,
    cause=None,
    bound=0,
    supervisor_id="s",
    runner_pid=20,
    runner_start_ticks=200,
    result=None,
)
DONE = ROW._replace(state="completed", percent=100.0, runner_pid=None, result={"attempt": 1})
END = Attempt(
    status_id="a",
    attempt=1,
    state="completed",
    cause=None,
    signal=None,
    exit_code=0,
    supervisor_id="s",
    pid=20,
    error_class=None,
)
SUPERVISOR = Supervisor(id="s", name="n", version="1", pid=10, start_ticks=100, has_left=False)
ALIVE = {
    10: Seen(pid=10, parent=1, session=10, state="S", ticks=100, flags=0),
    20: Seen(pid=20, parent=10, session=20, state="S", ticks=200, flags=0),
}


def moment(at: float = 0.0, *rows: Row, ends: Iterable[Attempt] = (), **more: Any) -> Snapshot:
    """Return a look at these rows, with a living supervisor and its runner."""
    given: dict[str, Any] = {"supervisors": {"s": SUPERVISOR}, "table": ALIVE, "marked": set(ALIVE), **more}
    attempts = {(end.status_id, end.attempt): end for end in ends}
    return Snapshot(at=at, rows={row.id: row for row in rows}, attempts=attempts, **given)


def broken(rule: Rule, *moments: Snapshot) -> list[str]:
    """Return which invariants are broken in the course of some looks."""
    return [violation.invariant for now in moments for violation in rule.look(now)]


def write(folder: Path, *events: tuple[Any, ...]) -> None:
    """Write lines (event, attempt, pid) into a journal."""
    with (folder / "journal").open("a") as file:
        for event, attempt, pid in events:
            file.write(json.dumps(Line("a", attempt, event, pid, pid * 10, 0.0)) + "\n")
