"""Signals of one attempt, in the process that runs it, and in one that only tells of ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn
from uuid import UUID

from forktask import place, signals
from forktask.errors import TaskStopped
from forktask.live import LiveStatus
from forktask.states import Cause, State


def before(task: str, live: LiveStatus) -> None:
    """Tell that `execute` is about to be called."""
    signals.tell(signals.task_started, task, live=live)


def after(task: str, live: LiveStatus, result: Any) -> None:
    """Tell that `execute` has returned; nothing that comes now takes that back."""
    with contextlib.suppress(TaskStopped):
        signals.tell(signals.task_completed, task, live=live, result=result)


def serve(order: Mapping[str, Any], context: place.Context) -> NoReturn:
    """Tell of attempts that have ended, and end the process."""
    try:
        place.set_database_url(order["database_url"])
        with context():
            for end in order["ends"]:
                tell_end(end)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def tell_end(end: Mapping[str, Any]) -> None:
    """Tell of one; `end` is plain JSON, as `described` makes it."""
    cause = Cause(end["cause"]) if end["cause"] is not None else None
    signals.tell_end(State(end["state"]), end["task"], UUID(end["id"]), end["attempt"], cause)


def checked(end: Mapping[str, Any]) -> dict[str, Any]:
    """Return an end that another process has described, perhaps one of another version, as we describe it.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: It cannot be told.
    """
    if not isinstance(end["task"], str):
        raise TypeError(f"a task has a name, not {end['task']!r}")
    cause = Cause(end["cause"]) if end["cause"] is not None else None
    return described(end["task"], UUID(end["id"]), int(end["attempt"]), State(end["state"]), cause)


def described(task: str, status_id: UUID, attempt: int, state: State, cause: Cause | None) -> dict[str, Any]:
    """Return an end as plain JSON."""
    return {
        "task": task,
        "id": str(status_id),
        "attempt": attempt,
        "state": state.value,
        "cause": cause.value if cause is not None else None,
    }
