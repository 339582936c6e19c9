"""Tasks that leave processes behind: each tells the pid of one as its message, and waits to be killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
from typing import Any, NoReturn

from forktask import LiveStatus, task

SLEEP = ["/bin/sleep", "600"]


def sleep_on() -> NoReturn:
    """Live until killed."""
    while True:
        signal.pause()


def orphan() -> int:
    """Fork a process whose own parent, forked too, leaves at once; return its pid."""
    reader, writer = os.pipe()
    if (between := os.fork()) == 0:
        if (pid := os.fork()) == 0:
            sleep_on()
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.waitpid(between, 0)
    return int(os.read(reader, 20))


def stay(status: LiveStatus, *pids: int) -> None:
    """Report, and wait until killed."""
    status.update(1, " ".join(map(str, pids)))
    sleep_on()


@task
def forks(status: LiveStatus) -> None:
    """Leave an orphan that was only forked."""
    stay(status, orphan())


@task
def executes(status: LiveStatus) -> None:
    """Leave a program."""
    stay(status, subprocess.Popen(SLEEP).pid)


@task
def uses_multiprocessing(status: LiveStatus) -> None:
    """Leave a process of multiprocessing's own fork server, which is another program."""
    child: Any = multiprocessing.get_context("forkserver").Process(target=sleep_on)
    child.start()
    stay(status, child.pid)


@task
def executes_without_environment(status: LiveStatus) -> None:
    """Leave a program that knows nothing of us, and beside it, if `also`, one that does."""
    pids = [subprocess.Popen(SLEEP, env={}).pid]
    if status.settings.get("also"):
        pids.append(subprocess.Popen(SLEEP).pid)
    stay(status, *pids)
