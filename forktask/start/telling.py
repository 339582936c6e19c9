"""Has an application told of ends that were written by a process which watches over no task."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from uuid import UUID

from forktask import hooks, place, signals
from forktask.errors import ApplicationNotFoundError, LaunchError
from forktask.start.doorbell import Doorbell
from forktask.states import Cause, State

log = logging.getLogger("forktask.signals")


@dataclass(frozen=True, slots=True)
class Teller:
    """Leaves it to the supervisor, which has a process for it; costs nothing where no receiver is connected.

    Attributes:
        doorbell: The way there; None: receivers are called here.
    """

    context: place.Context
    doorbell: Doorbell | None = None

    def __call__(self, task: str, status_id: UUID, attempt: int, state: State, cause: Cause | None) -> None:
        """Have it told that an attempt ended so."""
        if signals.of_end(state) is None:
            return
        end = hooks.described(task, status_id, attempt, state, cause)
        try:
            if self.doorbell is not None and self.doorbell.ring(["tell", end]):
                return
        except (LaunchError, ApplicationNotFoundError) as error:
            log.warning("id=%s: %s", status_id, error)
        with self.context():
            hooks.tell_end(end)
