"""Processes that a task left behind and that became children of ours, as all orphans of a container do of its pid 1."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from forktask import process

log = logging.getLogger("forktask.worker")


class Orphans:
    """Collects those that have ended, so that no zombie stays.

    Args:
        is_known: Tells whether a child is ours to wait for elsewhere.
    """

    def __init__(self, is_known: Callable[[int], bool]) -> None:
        self.is_known = is_known
        self._seen: dict[int, int] = {}

    def reap(self) -> None:
        """Collect what had ended already at the last call: a runner that is just being born is soon known."""
        if not _has_zombies():
            self._seen = {}
            return
        ended = {pid: ticks for pid, ticks in process.children().items() if self._is_orphan(pid)}
        for pid, ticks in ended.items():
            if self._seen.get(pid) == ticks:
                os.waitpid(pid, os.WNOHANG)
                log.info("reaped pid=%d, which a task had left", pid)
        self._seen = ended

    def _is_orphan(self, pid: int) -> bool:
        found = process.read_stat(pid)
        return found is not None and found.state in process.GONE and not self.is_known(pid)


def _has_zombies() -> bool:
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    except ChildProcessError:
        return False
