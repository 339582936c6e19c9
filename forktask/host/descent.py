"""What shows from which supervisor a process descends, also when its parents are gone."""

from __future__ import annotations

from uuid import UUID

from forktask import clock

VARIABLE = "FORKTASK_SUPERVISOR_ID"
"""Environment variable of runners: a program shows for ever with which environment it began."""

LOOKS = 100
"""How often, a millisecond apart, a process without any environment is looked at: one has none while it begins a
program, and on a busy machine that takes its time."""


def page_name(supervisor_id: UUID) -> str:
    """Return the name of the pages of memory that runners report through; what a runner forks shares them."""
    return f"forktask-{supervisor_id}"


def descends(pid: int, supervisor_id: UUID) -> bool:
    """Return True if a process proves that it is a runner of that supervisor, or descends from one.

    False proves nothing: a task may give a program another environment, and that of other users cannot be read.
    """
    variable = f"{VARIABLE}={supervisor_id}".encode()
    page = f" /memfd:{page_name(supervisor_id)} ".encode()
    for _ in range(LOOKS):
        # In this order, so that a fork that executes a program between the two shows one of them.
        if page in _read(f"/proc/{pid}/maps"):
            return True
        if environment := _read(f"/proc/{pid}/environ"):
            return variable in environment.split(b"\0")
        clock.sleep(0.001)
    return False


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # it is gone, or somebody else's
        return b""
