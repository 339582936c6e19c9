"""Orders to one status or to many: each is carried out, or the reason is kept beside its id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from forktask.errors import ForkTaskError, LaunchError, StateError, StatusNotFoundError
from forktask.operations.looking import AT_ONCE, Looker
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.selection import Selection
from forktask.sentences import BY_HAND, sentence
from forktask.states import FINAL, LIVE, UNDER_WAY, Cause, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an order: the row as it is then (None: it is gone), or why it was refused."""

    status_id: UUID
    row: StatusRow | None = None
    error: ForkTaskError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """An order: what it does, and which states it is given to where no id is named."""

    name: str
    states: frozenset[State]
    carry_out: Callable[[Runtime, UUID], StatusRow | None]


def _delete(source: Runtime, status_id: UUID) -> None:
    if source.store.delete_final([status_id]):
        return
    row = Looker(source).one(status_id)
    raise StateError("delete", row.state, [state for state in State if state in FINAL])


VERBS: Final = {
    verb.name: verb
    for verb in (
        Verb(name="cancel", states=LIVE, carry_out=lambda source, status_id: source.cancel(status_id)),
        Verb(
            name="pause",
            states=frozenset({State.QUEUED, State.RUNNING}),
            carry_out=lambda source, status_id: source.pause(status_id),
        ),
        Verb(
            name="resume",
            states=frozenset({State.PAUSED}),
            carry_out=lambda source, status_id: source.resume(status_id),
        ),
        # Not those that somebody cancelled, unless they are asked for.
        Verb(
            name="retry",
            states=frozenset({State.FAILED, State.LOST}),
            carry_out=lambda source, status_id: source.retry(status_id),
        ),
        Verb(name="delete", states=FINAL, carry_out=_delete),
    )
}


def order(source: Runtime, verb: Verb, ids: Iterable[UUID]) -> Iterator[Outcome]:
    """Carry out an order for each id, whatever becomes of the others."""
    for status_id in ids:
        try:
            yield Outcome(status_id=status_id, row=verb.carry_out(source, status_id))
        except (StateError, LaunchError, StatusNotFoundError) as error:
            yield Outcome(status_id=status_id, error=error)


def meant(verb: Verb, selection: Selection) -> Selection:
    """Return the selection with the states that the order is for, where it names none."""
    return selection if selection.states else replace(selection, states=verb.states)


def purge(source: Runtime, selection: Selection) -> Iterator[int]:
    """Delete what fits and is final, some hundred rows at a time; yields how many went.

    With an age also supervisors go that left before it.
    """
    states = (selection.states or FINAL) & FINAL
    wanted = replace(selection, states=states)
    while rows := source.store.listed(wanted, limit=AT_ONCE):
        gone = source.store.delete_final([row.id for row in rows])
        if not gone:
            break
        yield len(gone)
    if selection.finished_before is not None:
        source.store.delete_stopped(selection.finished_before)


MEANINGS: Final = {
    State.QUEUED: "another attempt begins when there is a place, whatever its retry rule says",
    State.COMPLETED: "it counts as done, nothing of it runs again, and its result stays as it is",
    State.FAILED: f"it counts as failed, the person reads “{BY_HAND}”, and retry begins it again",
    State.CANCELLED: "it counts as cancelled, and retry begins it again",
}
"""What it means to write a state by hand; the others are written by who sees that they are so."""
ERRORS: Final = {State.FAILED: BY_HAND, State.CANCELLED: sentence(Cause.CANCELLED)}


def set_state(source: Runtime, status_id: UUID, state: State, *, force: bool = False) -> StatusRow:
    """Write a state by hand.

    Args:
        force: Also of one with an attempt under way, whose runner its supervisor then kills.

    Raises:
        StateError: It is in this state, an attempt is under way, or it has not ended and is to be queued.
        LaunchError: It is to be queued, and its arguments were never stored.
    """
    looker = Looker(source)
    for _ in range(3):  # it may change in between
        row = looker.one(status_id)
        allowed = states_before(state, force=force)
        if row.runner_pid is not None and not force:
            allowed -= UNDER_WAY
        if row.state not in allowed:
            raise StateError(f"set to {state}", row.state, [one for one in State if one in allowed])
        if state is State.QUEUED and row.bound:
            raise LaunchError("this status was started with arguments or code that are not stored: initiate it again")
        if _write(source, row, state):
            return source.get(status_id)  # which sees to it that somebody starts what waits
    raise StateError(f"set to {state}", row.state, ())


def states_before(state: State, *, force: bool = False) -> frozenset[State]:
    """Return the states in which a status may be for it to be set to another one."""
    if state is State.QUEUED:
        return FINAL
    return frozenset(State) - {state} - (frozenset() if force else frozenset({State.RUNNING}))


def _write(source: Runtime, row: StatusRow, state: State) -> bool:
    if state is State.QUEUED:
        return source.store.retry(row.id, row.attempt, completed=True)
    return source.store.end_by_hand(row, state, ERRORS.get(state))
