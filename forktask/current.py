"""Which task runs here: whose bar a tqdm bar moves, and whose children the tasks are that are started."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Self
from uuid import UUID

from forktask import place
from forktask.live import LiveStatus

_of_process: LiveStatus | None = None
"""In a runner: that of all its threads and of the processes that it forks."""
_together: Sequence[LiveStatus] = ()
"""In a runner that executes a batch: all of it, none of which is the one that runs."""
_of_context: ContextVar[LiveStatus | None] = ContextVar("forktask_live", default=None)
"""Elsewhere, where a task runs inline: another thread of a web server serves another request."""


def live() -> LiveStatus | None:
    """Return the status of the task that runs, or None outside of any."""
    return _of_context.get() or _of_process


def all_live() -> Sequence[LiveStatus]:
    """Return the statuses of what runs: of one task, or of a whole batch."""
    found = live()
    return _together if found is None else (found,)


def batch() -> Sequence[LiveStatus]:
    """Return the statuses of the batch that runs; empty where none does."""
    return _together


def live_id() -> UUID | None:
    """Return the id of that status."""
    found = live()
    return found.id if found is not None else None


class Running:
    """A context in which a status is the one of the task that runs, from `begin` on.

    Afterwards it is the one before, for a task may run another.
    """

    __slots__ = ("_before", "_token")

    def __init__(self) -> None:
        self._token: Token[LiveStatus | None] | None = None

    def __enter__(self) -> Self:
        self._before = _of_process
        return self

    def begin(self, status: LiveStatus) -> None:
        """Make `status` the one of the task that runs."""
        global _of_process
        if place.in_supervisor():
            _of_process = status
        else:
            self._token = _of_context.set(status)

    def __exit__(self, *error: object) -> None:
        global _of_process
        if self._token is not None:
            _of_context.reset(self._token)
        elif place.in_supervisor():
            _of_process = self._before


@contextmanager
def running_together(statuses: Sequence[LiveStatus]) -> Iterator[None]:
    """Make these the statuses of the batch that runs, in a runner."""
    global _together
    _together = statuses
    try:
        yield
    finally:
        _together = ()
