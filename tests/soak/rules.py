"""The parts of all rules: what is reported once, and what may last for a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from tests.soak.snapshot import Snapshot, Violation

SOON = 10.0
"""Seconds of patience for what is promised at once: the machine is shared with others."""
TOGETHER = 45.0
"""Seconds of patience for what is promised within LAUNCH_GRACE, which is 30."""


class Rule(Protocol):
    """Looks at moments, one after the other, and tells what must not be."""

    def look(self, now: Snapshot) -> Iterable[Violation]:
        """Return what is wrong at this moment; nothing is told twice."""


class Once:
    """Lets each key through once."""

    def __init__(self) -> None:
        self._told: set[object] = set()

    def new(self, key: object) -> bool:
        """Return True the first time."""
        if key in self._told:
            return False
        self._told.add(key)
        return True


class Lasting:
    """What may be for a moment, and must not last."""

    def __init__(self, grace: float) -> None:
        self.grace = grace
        self._since: dict[object, float] = {}
        self._once = Once()
        self.longest = 0.0

    def late(self, at: float, seen: dict[object, str]) -> Iterator[tuple[object, str]]:
        """Return those of `seen` that have been there for longer than the grace, each once."""
        for key, begin in list(self._since.items()):
            if key not in seen:
                self.longest = max(self.longest, at - begin)
                del self._since[key]
        for key, what in seen.items():
            begin = self._since.setdefault(key, at)
            if at - begin > self.grace and self._once.new(key):
                yield key, f"{what}, for {at - begin:.1f} s"
