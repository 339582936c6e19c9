"""What runners take of the machine: processor time and memory, of all that is in their sessions (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import NamedTuple

from forktask import memory
from forktask.identity import Identity
from forktask.process import is_alive

TICK = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a runner and what it has started take."""

    cpu_seconds: float
    """So far, of children too that were waited for."""
    memory: int
    """Bytes now, each shared page by its share."""
    processes: int


def usages(runners: Collection[Identity]) -> dict[int, Usage]:
    """Return what runners of this host take, by pid; one that is gone, or elsewhere, is left out."""
    sessions: dict[int, list[tuple[int, float]]] = {runner.pid: [] for runner in runners if is_alive(runner)}
    for pid, session, seconds in _processes():
        if session in sessions:
            sessions[session].append((pid, seconds))
    return {
        leader: Usage(sum(seconds for _, seconds in members), memory.used_by(pid for pid, _ in members), len(members))
        for leader, members in sessions.items()
        if members
    }


def _processes() -> Iterator[tuple[int, int, float]]:
    """Yield pid, session and processor time of every process."""
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        # utime, stime, cutime and cstime are fields 14 to 17; the first one here is the third.
        yield int(name), int(fields[3]), sum(map(int, fields[11:15])) / TICK
