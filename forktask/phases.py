"""The phases of a task that stand in no other: the steps that its bar shows, in the order in which they began."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal, TypedDict

from forktask.progress import clean

PHASE_LIMIT: Final = 20
"""Most phases of an attempt that are steps; later ones move the bar only."""
NAME_LENGTH: Final = 100
"""Most characters of a name."""


class Phase(TypedDict):
    """One phase, as the row has it."""

    name: str
    state: Literal["done", "now", "later"]
    """`now` stays where the attempt ended within it; `later`: declared by the task, and did not begin."""


class Phases:
    """What has begun, and what the task has declared to come; says so at each change."""

    def __init__(self, declared: Sequence[str], send: Callable[[str, Any], None]) -> None:
        self._send = send
        self._begun: list[str] = []
        self._to_come = [_kept(name) for name in declared]
        self._is_within = False
        if declared:
            self._tell(is_done=True)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Make the block a step, unless it stands within another one or there are too many."""
        if self._is_within or len(self._begun) >= PHASE_LIMIT or not name.strip():
            yield
            return
        self._begin(_kept(name))
        self._is_within = True
        try:
            yield
        finally:
            self._is_within = False
        self._tell(is_done=True)

    def _begin(self, name: str) -> None:
        if name in self._to_come:
            # Those before it were passed over: they are neither done nor to come.
            del self._to_come[: self._to_come.index(name) + 1]
        self._begun.append(name)
        self._tell(is_done=False)

    def _tell(self, *, is_done: bool) -> None:
        phases = [Phase(name=name, state="done") for name in self._begun]
        if phases and not is_done:
            phases[-1]["state"] = "now"
        later = [Phase(name=name, state="later") for name in self._to_come]
        self._send("phases", (phases + later)[:PHASE_LIMIT])


def _kept(name: str) -> str:
    """Return a name as a row can hold it."""
    name = clean(name).decode()
    return name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 1] + "…"
