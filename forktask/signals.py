"""What an application may hear of its tasks and workers: signals of blinker, as Flask has them.

The sender of a task's signal is the registered name of the task, that of a worker's is `worker`. What a receiver raises
is logged; the task, the worker and the other receivers go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from blinker import NamedSignal, Namespace

from forktask.errors import TaskStopped
from forktask.states import Cause, State

log = logging.getLogger("forktask.signals")

_signals: Final = Namespace()

task_started: Final = _signals.signal("task-started", "In the runner, before `execute`: `live`.")
task_completed: Final = _signals.signal("task-completed", "In the runner, after `execute`: `live`, `result`.")
task_retried: Final = _signals.signal(
    "task-retried", "Another attempt follows one that ended otherwise: `status`, `attempt`, `cause`."
)
task_failed: Final = _signals.signal("task-failed", "No other follows one that failed or is lost: as `task_retried`.")
worker_started: Final = _signals.signal("worker-started", "In a worker, before its first task: `queues`.")
worker_idle: Final = _signals.signal("worker-idle", "In a worker that has nothing more to do: `queues`.")
worker_stopped: Final = _signals.signal("worker-stopped", "In a worker, after its last task: `queues`.")

WORKER: Final = "worker"

Tell = Callable[[str, UUID, int, State, Cause | None], None]
"""Has it told how an attempt ended: task, id, attempt, the state that follows, cause."""

_find_status: Callable[[UUID], Any] | None = None


def provide_status(find: Callable[[UUID], Any]) -> None:
    """Say what receivers get for an id."""
    global _find_status
    _find_status = find


def tell(signal: NamedSignal, sender: str, **facts: Any) -> None:
    """Call the receivers of a signal, each whatever becomes of the others.

    Raises:
        TaskStopped: The task was asked to stop meanwhile.
    """
    for receiver in list(signal.receivers_for(sender)):
        try:
            receiver(sender, **facts)
        except TaskStopped:
            raise
        except (Exception, SystemExit):  # of a receiver: it must harm nobody
            log.exception("signal=%s receiver=%r", signal.name, receiver)


def of_end(state: State) -> NamedSignal | None:
    """Return the signal that an attempt ended in such a state, where anybody would receive it."""
    signal = {State.FAILED: task_failed, State.LOST: task_failed, State.QUEUED: task_retried}.get(state)
    return signal if signal is not None and signal.receivers else None


def tell_nobody(task: str, status_id: UUID, attempt: int, state: State, cause: Cause | None) -> None:
    """Tell nobody of an end."""


def tell_end(state: State, task: str, status_id: UUID, attempt: int, cause: Cause | None) -> None:
    """Call the receivers of an end that stands in the table."""
    signal = of_end(state)
    if signal is None or _find_status is None:
        return
    try:
        status = _find_status(status_id)
    except Exception:  # the database is away, or the row is gone
        log.exception("signal=%s id=%s", signal.name, status_id)
        return
    tell(signal, task, status=status, attempt=attempt, cause=cause)
