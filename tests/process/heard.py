"""Tasks and receivers that note, one JSON a line, what they hear."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from forktask import Cause, LiveStatus, Retry, TaskStatus, signals, task
from tests.zoo import wait_for_file

VARIABLE = "ZOO_TOLD"
"""Names the file."""
RAISES = "ZOO_RECEIVERS_RAISE"
HANGS = "ZOO_RECEIVERS_HANG"
"""Names a file for which the receivers of ends wait."""


@task
def fine(status: LiveStatus) -> Any:
    """Return the settings."""
    return status.settings


@task
def waits(status: LiveStatus) -> None:
    """Wait for the file `path`."""
    status.update(1, "waiting")
    wait_for_file(status.settings["path"])


@task(retry=Retry(attempts=2, backoff=0, jitter=0))
def fails(status: LiveStatus) -> None:
    """End badly: `raise` or `kill`."""
    if status.settings["way"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("it is meant to fail")


@task(retry=Retry(attempts=2, backoff=0, jitter=0, always=(Cause.SUPERVISOR_GONE,)))
def waits_once(status: LiveStatus) -> None:
    """Wait for the file `path` in the first attempt."""
    status.update(1, "waiting")
    if status.attempt == 1:
        wait_for_file(status.settings["path"])


def note(name: str, sender: str, **facts: Any) -> None:
    """Append one line, and raise if so told; other tests, which do not listen, hear nothing."""
    if VARIABLE not in os.environ:
        return
    with open(os.environ[VARIABLE], "a") as file:
        file.write(json.dumps({"signal": name, "sender": sender, "pid": os.getpid(), **facts}) + "\n")
    if RAISES in os.environ:
        raise RuntimeError("a receiver is meant to raise")


@signals.task_started.connect
def started(sender: str, *, live: LiveStatus) -> None:
    note("task-started", sender, id=str(live.id), attempt=live.attempt)


@signals.task_completed.connect
def completed(sender: str, *, live: LiveStatus, result: Any) -> None:
    note("task-completed", sender, id=str(live.id), attempt=live.attempt, result=result)


def end(name: str, sender: str, status: TaskStatus, attempt: int, cause: Any) -> None:
    if VARIABLE in os.environ:
        print("hears", name)
    try:
        note(name, sender, id=str(status.id), attempt=attempt, cause=str(cause), state=str(status.state))
    finally:
        if HANGS in os.environ:
            wait_for_file(os.environ[HANGS])


@signals.task_failed.connect
def failed(sender: str, *, status: TaskStatus, attempt: int, cause: Any) -> None:
    end("task-failed", sender, status, attempt, cause)


@signals.task_retried.connect
def retried(sender: str, *, status: TaskStatus, attempt: int, cause: Any) -> None:
    end("task-retried", sender, status, attempt, cause)


@signals.worker_started.connect
def worker_started(sender: str, *, queues: list[str]) -> None:
    note("worker-started", sender, queues=queues)


@signals.worker_idle.connect
def worker_idle(sender: str, *, queues: list[str]) -> None:
    note("worker-idle", sender, queues=queues)


@signals.worker_stopped.connect
def worker_stopped(sender: str, *, queues: list[str]) -> None:
    note("worker-stopped", sender, queues=queues)
