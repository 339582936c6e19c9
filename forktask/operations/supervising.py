"""Supervisors and workers: which live, what they have to do, and telling one to end."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from forktask import process
from forktask.errors import LaunchError
from forktask.proof import Witness, identity_of
from forktask.rows import SupervisorRow
from forktask.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A supervisor that did not say that it left.

    Attributes:
        running: Attempts under its watch.
        death: What proves that it is gone; None: it lives, as far as can be told.
    """

    row: SupervisorRow
    running: int
    death: str | None

    @property
    def state(self) -> str:
        """One word for it."""
        if self.death is not None:
            return "gone"
        return "held" if self.row.held_at is not None else "lives"


def watched(source: Runtime) -> list[Watched]:
    """Return all of them, the oldest first."""
    witness = Witness(source.store, source.settings)
    counts = source.store.running_by_supervisor()
    return [
        Watched(row=row, running=counts.get(row.id, 0), death=witness.death_of(row.id))
        for row in source.store.supervisors()
    ]


def stop(one: Watched) -> None:
    """Tell a supervisor of this host to end, as SIGTERM does: who it is was verified in the same breath.

    Raises:
        LaunchError: It is not on this host, not this user's, or gone.
    """
    if not process.is_here(identity_of(one.row)):
        raise LaunchError(f"pid {one.row.pid} is on {one.row.host}, or in another container: stop it there")
    try:
        told = process.send_signal(identity_of(one.row), signal.SIGTERM)
    except PermissionError:
        raise LaunchError(f"pid {one.row.pid} belongs to another user: stop it as that one") from None
    if not told:
        raise LaunchError(f"pid {one.row.pid} is gone")
