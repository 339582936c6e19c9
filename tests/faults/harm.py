"""Tasks that do harm to their own process, or leave behind what is hard to end."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from typing import Any

from forktask import Cause, LiveStatus, Retry, Task, process, task
from tests.zoo import wait

IMMORTAL = """
import signal
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
print("up", flush=True)
while True:
    signal.pause()
"""
CONNECTIONS = 16
STRANGE = "a\0b 第 😀"
"""What PostgreSQL refuses, and what old MySQL could not hold."""


def immortal(*, own_session: bool = False) -> int:
    """Start a program that ignores all that can be ignored; return its pid."""
    child = subprocess.Popen(
        [sys.executable, "-c", IMMORTAL], stdout=subprocess.PIPE, start_new_session=own_session, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child.pid


@task
def leave(status: LiveStatus) -> int:
    """Leave behind a program that ignores everything."""
    return immortal(own_session=status.settings["own_session"])


@task
def close_descriptors(status: LiveStatus) -> str:
    """Close all descriptors from `first` on, as daemons do."""
    status.update(10, "before")
    print("printed before", flush=True)
    os.closerange(status.settings["first"], resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    status.update(20, "after")
    return "done"


@task
def close_and_connect(status: LiveStatus) -> str:
    """Close all descriptors, and use their numbers for connections of its own."""
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    for _ in range(CONNECTIONS):
        socket.create_connection(("127.0.0.1", status.settings["port"])).detach()
    return "secret"


@task
def change_surroundings(status: LiveStatus) -> None:
    """Change what a process inherits."""
    os.chdir("/")
    os.umask(0o777)
    os.environ["PATH"] = "/nowhere"


@task
def surroundings(status: LiveStatus) -> list[Any]:
    """Return what a process inherits."""
    mask = os.umask(0o022)
    os.umask(mask)
    return [os.getcwd(), mask, os.environ["PATH"]]


@task
def say_strange(status: LiveStatus) -> str:
    """Say strange text wherever a task can say something."""
    status.update(10, STRANGE, done=1, total=2, unit=STRANGE)
    status.warn(STRANGE)
    status.log.warning(STRANGE)
    print(STRANGE)
    status.checkpoint({"at": STRANGE.replace("\0", "")})
    return STRANGE.replace("\0", "")


@task
def print_much(status: LiveStatus) -> None:
    """Wait for the file `path`, then print `size` bytes in lines of 100."""
    wait.function(status)
    os.write(1, (b"x" * 99 + b"\n") * (status.settings["size"] // 100))


@task
def return_nul(status: LiveStatus) -> dict[str, list[str]]:
    """Return what no database takes."""
    return {"lines": ["", STRANGE]}


class LeavesImmortalTask(Task):
    """Leaves a program that ignores everything; the next attempt tells whether it was gone by then."""

    retry = Retry(attempts=2, backoff=0.01, always=(Cause.SUPERVISOR_GONE,))

    def execute(self, status: LiveStatus) -> bool:
        """Return True if nothing is left of the first attempt."""
        if status.attempt == 1:
            status.checkpoint(immortal())
            status.update(1, "left")
            while True:
                signal.pause()
        found = process.read_stat(status.resumed_from)
        return found is None or found.state in process.GONE


class BadlyPreparedTask(Task):
    """Raises before `execute`, in its own interpreter."""

    start_method = "spawn"

    def prepare(self) -> None:
        """Raise."""
        raise LookupError("no such tenant")

    def execute(self, status: LiveStatus) -> None:
        """Never come here."""
