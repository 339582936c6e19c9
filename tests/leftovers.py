"""Processes that tests left behind: every process that a test starts inherits the mark of the run."""

from __future__ import annotations

import os
from uuid import uuid4

import psutil

from tests.marks import marked

MARK = "TEST_RUN_ID"

# Python keeps these until the process ends that used multiprocessing.
KEPT_BY_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def mark_this_run() -> str:
    """Put a mark into the environment, for all processes to come; return it.

    A worker of pytest-xdist has one of its own, for it ends while the others go on.
    """
    os.environ[MARK] = mark = uuid4().hex
    return mark


def leftovers(mark: str) -> list[psutil.Process]:
    """Return the processes other than this one and its ancestors that carry the mark, and its children, zombies too."""
    own = psutil.Process()
    spared = {own.pid, *(parent.pid for parent in own.parents())}
    found = {process.pid: process for process in own.children(recursive=True)}
    found |= {process.pid: process for process in marked(MARK, mark) if process.pid not in spared}
    return [process for process in found.values() if not kept_by_python(process)]


def kept_by_python(process: psutil.Process) -> bool:
    """Return True for the helpers of multiprocessing, and for what is gone by now."""
    try:
        command = " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return False
    except psutil.NoSuchProcess:
        return True
    return any(name in command for name in KEPT_BY_PYTHON)


def describe(process: psutil.Process) -> str:
    """Return what a person needs to find the test that started it."""
    try:
        return f"pid {process.pid} {process.status()}: {' '.join(process.cmdline()) or process.name()}"
    except psutil.Error:
        return f"pid {process.pid}"
