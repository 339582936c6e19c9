"""What a supervisor says in its log while it cannot have its database."""

from __future__ import annotations

from pathlib import Path

from forktask.runtime import Runtime
from tests.runtimes import PATIENCE
from tests.waiting import wait_until


def complaints(runtime: Runtime) -> int:
    """Return how often the supervisors of a runtime directory have found the database away."""
    logs = Path(runtime.settings.runtime_dir).glob("*.log")
    return sum(path.read_text().count(" database: ") for path in logs)


def wait_for_complaints(runtime: Runtime, count: int, before: int | None = None) -> None:
    """Return once there are so many more complaints than before, by default: than now."""
    known = complaints(runtime) if before is None else before
    what = f"{count} complaints in the supervisor's log"
    wait_until(lambda: complaints(runtime) >= known + count, PATIENCE, what)
