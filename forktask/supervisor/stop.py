"""How a runner is being ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forktask import clock
from forktask.states import Cause

NEXT_TRY = 0.02
"""Seconds to the next look whether a runner that executes many has begun with what is to be stopped."""


@dataclass(slots=True)
class Stop:
    """The steps to the end: ask, SIGTERM after a grace, SIGKILL after another."""

    cause: Cause
    next_step_at: float
    steps: list[Callable[[], None]]

    def advance(self, grace: float) -> None:
        """Take the next step if its time has come."""
        while self.steps and clock.monotonic() >= self.next_step_at:
            self.steps.pop(0)()
            self.next_step_at = clock.monotonic() + grace

    def wait(self) -> None:
        """Leave the next step for a later moment."""
        self.next_step_at = max(self.next_step_at, clock.monotonic() + NEXT_TRY)
