"""What `/proc` says of processes, read without any code of forktask: the soak judges by this alone."""

from __future__ import annotations

import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

WHERE = signal.SIGRTMIN + 5
"""Has a web worker write into its log where each of its threads stands."""
SIGKILL_PENDING = 1 << 8
EXITING = 0x4
"""PF_EXITING in the flags of `/proc/PID/stat`."""


class Process(NamedTuple):
    """A process, told from a later one with its number by its start."""

    pid: int
    ticks: int


class Seen(NamedTuple):
    """One line of `/proc/PID/stat`."""

    pid: int
    parent: int
    session: int
    state: str
    ticks: int
    flags: int

    @property
    def process(self) -> Process:
        return Process(self.pid, self.ticks)

    @property
    def is_zombie(self) -> bool:
        return self.state in "ZX"

    @property
    def is_stopped(self) -> bool:
        return self.state in "Tt"


def read(pid: int) -> Seen | None:
    """Return what there is of a process; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = text.rpartition(b")")[2].split()
    return Seen(pid, int(fields[1]), int(fields[3]), fields[0].decode(), int(fields[19]), int(fields[6]))


def everything() -> dict[int, Seen]:
    """Return all processes, zombies too."""
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdecimal())
    return {seen.pid: seen for seen in found if seen is not None}


def runs(process: Process) -> bool:
    """Return True while a process can still run code of its own: one that was killed cannot, though it is there."""
    seen = read(process.pid)
    if seen is None or seen.ticks != process.ticks or seen.is_zombie or seen.flags & EXITING:
        return False
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        return False
    pending = [int(mask, 16) for mask in re.findall(r"^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)$", status, re.MULTILINE)]
    return not any(mask & SIGKILL_PENDING for mask in pending)


def command(pid: int) -> str:
    """Return the command line; empty for what is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


class Marks:
    """Which processes have our mark in their environment; each is asked once, young ones again: exec changes it.

    Args:
        mark: The whole entry, `NAME=value`.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._marked: set[Process] = set()
        self._strangers: dict[Process, int] = {}

    def of(self, table: dict[int, Seen]) -> set[int]:
        """Return the pids of those that have it."""
        living = {seen.process for seen in table.values()}
        self._marked &= living
        self._strangers = {each: looks for each, looks in self._strangers.items() if each in living}
        for process in living - self._marked:
            looks = self._strangers.get(process, 0)
            if looks >= 10:
                continue
            if self._has(process.pid):
                self._marked.add(process)
            else:
                self._strangers[process] = looks + 1
        return {process.pid for process in self._marked}

    def _has(self, pid: int) -> bool:
        with suppress(OSError):
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return False


def ancestors(pid: int, table: dict[int, Seen]) -> list[int]:
    """Return a process and those from which it descends, the nearest first."""
    found = []
    while pid in table and pid not in found:
        found.append(pid)
        pid = table[pid].parent
    return found


def anonymous_memory(pid: int) -> int:
    """Return the bytes of memory that stand for no file: what a leak is made of. 0 for what is gone."""
    with suppress(OSError):
        found = re.search(r"^Anonymous:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def descriptors(pid: int) -> list[str]:
    """Return what the open descriptors of a process are."""
    found = []
    with suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)
