"""Conditions that more than one statement uses; states stand in them as text, so that partial indexes serve them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, FromClause, bindparam, case, literal_column, or_

from forktask.states import State
from forktask.tables import LIVE_STATES, STATUS, UNIQUE_LIVE


def state_in(*states: State) -> ColumnElement[bool]:
    """Return the condition that the status is in one of `states`."""
    literals = [literal_column(f"'{state.value}'", STATUS.c.state.type) for state in sorted(states)]
    return STATUS.c.state == literals[0] if len(literals) == 1 else STATUS.c.state.in_(literals)


LIVE: Final = LIVE_STATES
QUEUED: Final = state_in(State.QUEUED)
RUNNING: Final = state_in(State.RUNNING)
HAS_RUNNER: Final = STATUS.c.runner_pid.is_not(None)
UNDER_WAY: Final = or_(RUNNING, state_in(State.PAUSED) & HAS_RUNNER)
"""An attempt is running, or stopped by SIGSTOP."""


def under_way(table: FromClause) -> ColumnElement[bool]:
    """Return the condition that an attempt is under way, as an index that begins with the state serves it."""
    states = table.c.state.in_([literal_column("'paused'"), literal_column("'running'")])
    return states & or_(table.c.state == literal_column("'running'"), table.c.runner_pid.is_not(None))


PAUSED_WAITING: Final = state_in(State.PAUSED) & STATUS.c.runner_pid.is_(None)
NOT_CANCELLED: Final = STATUS.c.cancel_requested_at.is_(None)

THIS: Final = STATUS.c.id == bindparam("status_id", type_=STATUS.c.id.type)
THIS_ATTEMPT: Final = THIS & (STATUS.c.attempt == bindparam("this_attempt", type_=STATUS.c.attempt.type))

NO_RUNNER: Final[dict[str, Any]] = {
    "runner_boot_id": None,
    "runner_pid_namespace": None,
    "runner_pid": None,
    "runner_start_ticks": None,
}
NO_REQUESTS: Final[dict[str, Any]] = {"cancel_requested_at": None, "pause_requested_at": None}
QUEUED_OR_PAUSED: Final = case((STATUS.c.pause_requested_at.is_not(None), State.PAUSED.value), else_=State.QUEUED.value)
"""What follows an attempt that another one follows: a pause that was asked for holds. In an UPDATE that forgets the
pause it has to stand first, as it does in the order of columns: MariaDB sees new values of what is to the left."""
NO_PROGRESS: Final[dict[str, Any]] = dict.fromkeys(
    ("percent", "message", "done", "total", "unit", "active_seconds", "pace_low", "pace_high", "warnings", "phases")
)
NO_END: Final[dict[str, Any]] = {
    "cause": None,
    "error": None,
    "reference": None,
    "result": None,
    "finished_at": None,
}


def given(name: str) -> BindParameter[Any]:
    """Return a parameter of this name with the type of the column of this name."""
    return bindparam(name, type_=STATUS.c[name].type)


def one_of(name: str, count: int) -> list[BindParameter[Any]]:
    """Return the parameters `name_0` … of a list of `count` values for the column `name`."""
    return [bindparam(f"{name}_{number}", type_=STATUS.c[name].type) for number in range(count)]


def padded(name: str, values: list[Any]) -> dict[str, Any]:
    """Return the values for `one_of`, the last repeated to a power of two, so that few statements are compiled."""
    return {f"{name}_{number}": values[min(number, len(values) - 1)] for number in range(padded_size(len(values)))}


def padded_size(count: int) -> int:
    """Return how many values `padded` makes of so many."""
    return 1 << (count - 1).bit_length()


def has_key(kind: str) -> ColumnElement[bool]:
    """Return the condition that the status keeps out others with the key `unique_key`; its index serves it."""
    if kind in ("sqlite", "postgresql"):
        return (STATUS.c.unique_key == given("unique_key")) & LIVE
    derived: ColumnElement[str | None] = literal_column(UNIQUE_LIVE, STATUS.c.unique_key.type)
    return derived == given("unique_key")
