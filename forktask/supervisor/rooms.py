"""Where limits leave room, and how lines take turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from forktask import registry
from forktask.limit import LimitRow, QueueRow, Room
from forktask.rows import Due, Scope
from forktask.states import StartMethod
from forktask.store import Store
from forktask.store.limits import MOST_NAMES

MOST_LINES = 64
"""Lines of limits that are looked into for one queue at one look; the others at the next."""


class _Kind(NamedTuple):
    """What the rows of a batch have in common."""

    queue: str
    task: str
    start_method: StartMethod | None


def _kind(row: Due) -> _Kind | None:
    """Return of which kind of batch a row is; None: it is run alone, as what was initiated."""
    if row.queue is None or registry.batch_of(row.task) == 1:
        return None
    return _Kind(row.queue, row.task, row.start_method)


class Rooms:
    """What limits let begin, as this supervisor sees it; who claims counts again, under a lock.

    Attributes:
        opens_in: Seconds until a rate lets something begin that waits; None: nothing waits for a rate alone.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.opens_in: float | None = None
        self._queues: dict[str, LimitRow] = {}
        self._is_awaited = False
        self._first_name = self._last_name = ""
        """After which name the limits begin that are known, and after which those that follow; empty: at the first."""
        self._looked: dict[tuple[str | None, str], str] = {}
        """Up to which limit was looked into a queue, and so many limits; absent: into all."""
        self._chosen: dict[tuple[str | None, str], list[str]] = {}
        """Limits that are looked into at this look: what is found there is joined by what is due behind it."""
        self._rooms: dict[str, Room] = {}
        self._taken: dict[str | None, int] = {}
        self._count = 0

    def see(self, queues: Iterable[QueueRow]) -> None:
        """Note which queues have limits, and look whether anything waits that has one of its own."""
        self._queues = {row.name: limit for row in queues if (limit := row.limit) is not None}
        self._is_awaited = self.store.waits_under_limit()

    @property
    def may_open(self) -> bool:
        """True if an end may let something begin that a limit kept back."""
        return self._is_awaited or bool(self._queues)

    def are_awaited(self, limits: Collection[tuple[str, str]]) -> bool:
        """Return True if something waits for room under one of these limits, as far as it was seen."""
        kinds = [kind for kind, _ in limits]
        queues = {name for kind, name in limits if kind == "queue"}
        return ("limit" in kinds and self._is_awaited) or self.store.waits_in(queues)

    def look(self) -> None:
        """Look where there is room now; costs nothing where no limit is waited for."""
        self.opens_in = None
        self._chosen.clear()
        self._first_name = self._last_name
        self._rooms = self.store.rooms(self._first_name) if self._is_awaited else {}
        if not self._rooms and self._first_name:
            self._first_name = ""
            self._rooms = self.store.rooms()
        self._last_name = next(reversed(self._rooms)) if len(self._rooms) == MOST_NAMES else ""
        for room in self._rooms.values():
            self._note(room)

    def _note(self, room: Room) -> None:
        if room.places == 0 and room.opens_in is not None:
            self.opens_in = room.opens_in if self.opens_in is None else min(self.opens_in, room.opens_in)

    def due_in(self, queue: str, tasks: Collection[str], places: int) -> list[Due]:
        """Return rows of a queue that may start now, each of its lines in turn."""
        if (limit := self._queues.get(queue)) is not None and places > 0:
            room = self.store.room_of_queue(limit)
            if room.places == 0 and room.opens_in is not None and self.store.awaits([queue], tasks):
                self._note(room)
            places = min(places, room.places)
        if places < 1:
            return []
        lines = [self.store.due_in(queue, tasks, places)]
        for name, most in self._open(queue, places):
            lines.append(self.store.due_in(queue, tasks, most, limit_name=name))
        return self.in_turn(lines)[:places]

    def initiated(self, scope: Scope, places: int) -> list[Due]:
        """Return what was initiated and may start now, each line in turn."""
        if places < 1:
            return []
        lines = [self.store.due(scope, places)]
        lines += [self.store.due(scope, most, limit_name=name) for name, most in self._open(None, places)]
        return self.in_turn(lines)[:places]

    def _open(self, queue: str | None, places: int) -> list[tuple[str, int]]:
        """Return limits that have room, with how much may be taken of each; the next ones at the next look."""
        where = (queue, self._first_name)
        if where not in self._chosen:
            self._chosen[where] = self._next_open(where)
        return [(name, min(places, self._rooms[name].places)) for name in self._chosen[where]]

    def _next_open(self, where: tuple[str | None, str]) -> list[str]:
        names = sorted(name for name, room in self._rooms.items() if room.places > 0)
        after = self._looked.pop(where, "")
        names = [name for name in names if name > after] or names
        if len(names) > MOST_LINES:
            self._looked[where] = names[MOST_LINES - 1]
        return names[:MOST_LINES]

    def in_turn(self, lines: Iterable[Sequence[Due]]) -> list[Due]:
        """Merge lines, each in its own order: the highest priority first, of equal ones a row of each line."""
        found: list[tuple[int, int, int, Due]] = []
        for line in lines:
            before: Counter[int] = Counter()
            for row in line:
                found.append((-row.priority, before[row.priority], self._taken.get(row.line, 0), row))
                before[row.priority] += 1
        return [one[-1] for one in sorted(found, key=lambda one: (*one[:3], one[3].due_at, one[3].id))]

    def together(self, found: Sequence[Due], runners: int) -> list[list[Due]]:
        """Have rows of batch tasks joined by those that are due behind them in their queue; the others stay alone.

        Args:
            runners: At most so many batches of one kind are made; one that has to wait for a runner, too, so that what
                comes after it does not take each that gets free.
        """
        alike: dict[_Kind, list[Due]] = {}
        for row in found:
            if (kind := _kind(row)) is not None:
                alike.setdefault(kind, []).append(row)
        batches = {kind: self._batches(kind, rows[: max(1, runners)]) for kind, rows in alike.items()}
        groups = (next(batches[kind], []) if (kind := _kind(row)) is not None else [row] for row in found)
        return [group for group in groups if group]

    def _batches(self, kind: _Kind, found: Sequence[Due]) -> Iterator[list[Due]]:
        """Yield batches of what is due, in the order in which it waits; at most as many as there are rows."""
        size = registry.batch_of(kind.task)
        due = self.due_in(kind.queue, [kind.task], len(found) * size)
        rows = [row for row in due if row.start_method == kind.start_method] or found
        yield from [list(rows[begin : begin + size]) for begin in range(0, len(rows), size)][: len(found)]

    def take(self, rows: Iterable[Due]) -> list[Due]:
        """Note which lines have had their turn; return the rows."""
        if len(self._taken) > 4096:
            self._taken.clear()
        chosen = list(rows)
        for row in chosen:
            self._count += 1
            self._taken[row.line] = self._count
        return chosen

    @property
    def limited(self) -> Collection[str]:
        """Queues that have a limit."""
        return self._queues.keys()

    def holds_back(self, queues: Collection[str], tasks: Collection[str], scope: Scope) -> bool:
        """Return True if something of these queues, or initiated, is due and waits for room, or was not looked for."""
        here = {None, *queues}
        if self._last_name or any(queue in here and name == self._first_name for queue, name in self._looked):
            return True
        full = [name for name in self._rooms if self._rooms[name].places == 0]
        if any(self._holds_back(queue, tasks, full) for queue in queues):
            return True
        is_awaited = bool(full) and self.store.is_awaited(scope)
        return is_awaited and any(self.store.due(scope, 1, limit_name=name) for name in full)

    def _holds_back(self, queue: str, tasks: Collection[str], full: Collection[str]) -> bool:
        is_limited = queue in self._queues
        if is_limited and self.store.due_in(queue, tasks, 1):
            return True
        names = self._rooms if is_limited else full
        return any(self.store.due_in(queue, tasks, 1, limit_name=name) for name in names)
