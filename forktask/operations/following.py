"""What happens to statuses, as it happens: their output and their moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from forktask.operations.looking import Looker
from forktask.rows import LogRow, StatusRow
from forktask.selection import Selection
from forktask.states import LIVE, State

MOST: Final = 1000
"""Statuses that are watched at a time, and pieces of output in one look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of output, or one move.

    Attributes:
        state: The new state, of a move; None: it is output.
        text: The line; of a move what is to be said of it.
    """

    at: datetime
    status_id: UUID
    task: str
    attempt: int
    text: str
    state: State | None = None
    level: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        said = {"kind": "log" if self.state is None else "state", "at": self.at.isoformat(), "id": str(self.status_id)}
        more = {"state": self.state.value} if self.state is not None else {"level": self.level}
        return {**said, "task": self.task, "attempt": self.attempt, **more, "text": self.text}


class Follower:
    """Looks again and again, and tells what is new.

    Args:
        ids: Only these, from their beginning; empty: all that fit, from now on.
        since: From then on instead.
    """

    def __init__(
        self, looker: Looker, selection: Selection, ids: Sequence[UUID] = (), *, since: datetime | None = None
    ) -> None:
        self._looker = looker
        self._selection = replace(selection, since=None)
        self._ids = ids
        self._since = since
        self._seen: dict[UUID, tuple[State, int]] = {}
        self._places: dict[UUID, tuple[int, int]] = {}
        self._newest = next(iter(looker.store.newest_ids(1)), UUID(int=0))
        self.rows: dict[UUID, StatusRow] = {}
        """Those that are watched, as they are."""
        self._begin()

    @property
    def is_over(self) -> bool:
        """True if all that it is told to watch has ended."""
        return bool(self.rows) and bool(self._ids) and all(row.state.is_final for row in self.rows.values())

    def events(self) -> list[Event]:
        """Return what has happened since the last look, in order."""
        rows = self._found()
        told = [event for row in rows for event in self._of(row)]
        self.rows = {row.id: row for row in rows if self._ids or not row.state.is_final}
        return sorted(told, key=lambda event: event.at)

    def _begin(self) -> None:
        """Leave out what was before, where nobody asks for it."""
        if self._ids or self._since is not None:
            return
        for row in self._live():
            self._seen[row.id] = (row.state, row.attempt)
            for last in self._looker.store.log_tail(row.id, 1):
                self._places[row.id] = (last.attempt, last.position)
            self.rows[row.id] = row

    def _found(self) -> list[StatusRow]:
        store = self._looker.store
        if self._ids:
            return [self._looker.one(status_id) for status_id in self._ids]
        found = {row.id: row for row in self._live()}
        for row in store.listed_after(self._selection, limit=MOST, after=self._newest):
            found.setdefault(row.id, row)
            self._newest = max(self._newest, row.id)
        if self._since is not None and not self._seen:
            ended = replace(self._selection, finished_since=self._since)
            found |= {row.id: row for row in store.listed(ended, limit=MOST)}
        for status_id in self.rows.keys() - found.keys():
            if (still := store.get(status_id)) is not None:
                found[status_id] = still
        return [found[status_id] for status_id in sorted(found)]

    def _live(self) -> Iterable[StatusRow]:
        wanted = replace(self._selection, states=(self._selection.states or LIVE) & LIVE)
        rows = self._looker.store.listed(wanted, limit=MOST) if wanted.states else []
        return [self._looker.made_true(row) for row in rows]

    def _of(self, row: StatusRow) -> Iterator[Event]:
        yield from self._output(row)
        now = (row.state, row.attempt)
        if self._seen.get(row.id) != now:
            self._seen[row.id] = now
            if self._is_wanted(at := moved_at(row)):
                yield Event(
                    at=at, status_id=row.id, task=row.task, attempt=row.attempt, text=move(row), state=row.state
                )

    def _output(self, row: StatusRow) -> Iterator[Event]:
        attempt, position = self._places.get(row.id, (0, -1))
        for piece in self._looker.store.log_after(row.id, attempt, position, MOST):
            self._places[row.id] = (piece.attempt, piece.position)
            if self._is_wanted(piece.at):
                yield from _lines(row, piece)

    def _is_wanted(self, at: datetime) -> bool:
        return self._since is None or at >= self._since


def _lines(row: StatusRow, piece: LogRow) -> Iterator[Event]:
    for text in piece.text.splitlines():
        yield Event(at=piece.at, status_id=row.id, task=row.task, attempt=piece.attempt, text=text, level=piece.level)


def moved_at(row: StatusRow) -> datetime:
    """Return about when a status came to be in its state."""
    if row.state.is_final:
        return row.finished_at or row.updated_at
    if row.state is State.RUNNING:
        return row.started_at or row.updated_at
    return row.created_at if row.state is State.QUEUED and row.attempt == 1 else row.updated_at


def move(row: StatusRow) -> str:
    """Return what is to be said of a move."""
    if row.state is State.COMPLETED:
        return row.message or ""
    if row.state.is_final:
        return " ".join(word for word in (row.error, f"({row.reference})" if row.reference else "") if word)
    return f"attempt {row.attempt} of {row.max_attempts}" if row.max_attempts > 1 or row.attempt > 1 else ""
