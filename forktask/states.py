"""States, causes and moves: what may become of a status, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Where a status stands."""

    QUEUED = "queued"
    """Waits: for a free place, for its time, or for its next attempt."""
    RUNNING = "running"
    """An attempt is under way; a live supervisor watches it."""
    PAUSED = "paused"
    """Stopped by order: its runner with SIGSTOP, or before an attempt began."""
    COMPLETED = "completed"
    """`execute` returned and its result was kept."""
    FAILED = "failed"
    """The last attempt ended otherwise; `cause` says how."""
    CANCELLED = "cancelled"
    """Ended by order."""
    LOST = "lost"
    """Its supervisor is gone and wrote no end."""

    @property
    def is_final(self) -> bool:
        """True if only an order (`retry`) begins another attempt."""
        return self in FINAL


class Cause(StrEnum):
    """Why an attempt ended."""

    EXCEPTION = "exception"
    """`execute` raised."""
    EXIT = "exit"
    """The process ended by itself before `execute` returned (`sys.exit`, `os._exit`)."""
    SIGNAL = "signal"
    """The process was killed by a signal that forktask did not send."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel killed the runner for its memory, or Python could get no more."""
    TIMEOUT = "timeout"
    """It ran longer than the task's `timeout`; time paused does not count."""
    CANCELLED = "cancelled"
    """Somebody cancelled it."""
    INTERRUPTED = "interrupted"
    """Its supervisor was told to end (shutdown, deploy). Does not count as an attempt."""
    LAUNCH = "launch"
    """It could not be started: no process, no application, no such task."""
    SUPERVISOR_GONE = "supervisor_gone"
    """Its supervisor died, and the runner with it."""


class StartMethod(StrEnum):
    """How the process of a task comes into being."""

    FORKSERVER = "forkserver"
    """Forked by the supervisor of this application, which has it preloaded."""
    FORK = "fork"
    """Double fork of the calling process; for scripts and closures."""
    SPAWN = "spawn"
    """A fresh interpreter; for shell arguments and applications with threads."""
    INLINE = "inline"
    """In the calling process, before `initiate` returns; for tests."""


FINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST})
LIVE: Final = frozenset(State) - FINAL
UNDER_WAY: Final = frozenset({State.RUNNING, State.PAUSED})

MOVES: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset({State.PAUSED, State.QUEUED, *FINAL}),
    State.PAUSED: frozenset({State.RUNNING, State.QUEUED, *FINAL}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.LOST: frozenset({State.QUEUED}),
}
"""From each state, the states that may follow. A move to `queued` begins attempt n + 1, but for a
status that was paused before its attempt began."""

UNCOUNTED: Final = frozenset({Cause.INTERRUPTED, Cause.LAUNCH})
"""Causes that do not use up an attempt."""


def sources(target: State) -> frozenset[State]:
    """Return the states from which `target` may be reached."""
    return frozenset(state for state, targets in MOVES.items() if target in targets)
