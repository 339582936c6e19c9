"""Processes that tests left behind: every process that a test starts inherits the mark of the run."""

from __future__ import annotations

import os
from uuid import uuid4

import psutil

MARK = "TEST_RUN_ID"

# Python keeps these until the process ends that used multiprocessing.
KEPT_BY_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def mark_this_run() -> str:
    """Put a mark into the environment, for all processes to come; return it."""
    return os.environ.setdefault(MARK, uuid4().hex)


def leftovers(mark: str) -> list[psutil.Process]:
    """Return the processes other than this one and its ancestors that carry the mark, and its children, zombies too."""
    own = psutil.Process()
    spared = {own.pid, *(parent.pid for parent in own.parents())}
    found = {process.pid: process for process in own.children(recursive=True)}
    for process in psutil.process_iter():
        try:
            if process.pid not in spared and process.environ().get(MARK) == mark:
                found[process.pid] = process
        except psutil.Error:
            continue  # gone, or of somebody else
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
