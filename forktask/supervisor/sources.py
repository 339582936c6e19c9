"""Where a supervisor takes what waits: what was initiated on its host, and queues."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from forktask import registry
from forktask.rows import Due, StatusRow, SupervisorRow
from forktask.states import State
from forktask.store import ALL_QUEUES, Store
from forktask.supervisor.neighbours import Neighbours
from forktask.supervisor.rooms import Rooms

log = logging.getLogger("forktask.worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The queues of a worker.

    Attributes:
        weights: Name → how many rows of it are taken for each one of a queue of weight 1. All 0: in the order of the
            names, the next one only when those before it have nothing that is due ("strict").
        ignored: Names of tasks that it leaves alone.
        only: The one status that it takes, whatever its queue.
    """

    weights: dict[str, int]
    ignored: frozenset[str] = frozenset()
    only: UUID | None = None

    @property
    def is_strict(self) -> bool:
        """True if the order of the queues decides alone."""
        return not any(self.weights.values())


def why_not(row: StatusRow | None) -> str:
    """Return why the one status that a worker was to run is not begun."""
    if row is None:
        return "no status has this id"
    if row.state is not State.QUEUED:
        return f"it is {row.state}"
    if row.bound:
        return "its arguments are in another process alone"
    if registry.find(row.task) is None:
        return f"no task is registered as {row.task!r}"
    if row.cancel_requested_at is not None:
        return "it is to be cancelled"
    if row.limit_name is not None:
        return f"its limit {row.limit_name!r} has no room, or it is not due"
    return f"it is due at {row.run_after}" if row.run_after is not None else "nothing more is known"


@dataclass(slots=True)
class Sources:
    """What may be taken now; asked for as many rows as there are places."""

    me: SupervisorRow
    store: Store
    neighbours: Neighbours
    shares: Shares | None = None
    """None: an embedded supervisor, which takes what no worker takes."""
    _paused: frozenset[str] = frozenset()
    _said_held: bool = False
    _has_more: bool = False
    _unserved: dict[str, list[str]] = field(default_factory=dict)
    _credit: dict[str, int] = field(default_factory=dict)
    was_full: bool = False
    """As much was found at the last look as there were places: there may be more."""
    more_initiated: bool = True
    """What was initiated may wait, too."""
    rooms: Rooms = field(init=False)

    def __post_init__(self) -> None:
        self.rooms = Rooms(self.store)

    def see(self) -> None:
        """Look which queues are held up or limited, and which are served by others; bring in line what has come."""
        self._has_more = self.store.bring_in_line()
        queues = self.store.queue_rows()
        paused = frozenset(row.name for row in queues if row.paused_at is not None)
        self._say_what_is_held(paused ^ self._paused, paused)
        self._paused = paused
        self.rooms.see(queues)
        if self.shares is not None and self.is_held != self._said_held:
            self.store.set_held(self.me.id, self.is_held)
            self._said_held = self.is_held
        if self.shares is None:
            self._unserved = self.neighbours.unserved(self.store.waiting_queues(), registry.names())

    def _say_what_is_held(self, changed: Collection[str], paused: Collection[str]) -> None:
        """Log what holds a worker up, and what does no more."""
        if self.shares is None or self.shares.only is not None:
            return
        for name in sorted(changed):
            if name == ALL_QUEUES:
                log.info("stop-workers: takes nothing" if name in paused else "resume-workers: takes tasks")
            elif name in self.shares.weights:
                log.info("queue=%s %s", name, "is paused" if name in paused else "goes on")

    @property
    def is_held(self) -> bool:
        """True if nothing is to be taken from any queue, by whoever serves it."""
        return ALL_QUEUES in self._paused

    def is_awaited(self) -> bool:
        """Return True if something waits, now or for a later time, that nobody else would start."""
        ours = self.store.is_awaited(self.neighbours.scope())
        return ours or any(self.store.awaits([name], tasks) for name, tasks in self._open)

    @property
    def _open(self) -> list[tuple[str, list[str]]]:
        if self.is_held:
            return []
        return [(name, tasks) for name, tasks in self._unserved.items() if name not in self._paused]

    def due(self, places: int, runners: int, on_host: int) -> list[list[Due]]:
        """Return what may start now, at most as many as there are places: what was initiated comes first.

        Args:
            places: For what waits in queues.
            runners: So many of the places are for runners that begin; each batch needs one.
            on_host: All places, for what was initiated.

        Returns:
            Rows, each alone or with the others of its batch.
        """
        if self.shares is not None and self.shares.only is not None:
            found = self.rooms.take(self.store.due_by_id(self.shares.only, registry.names()))
            self.was_full = len(found) >= on_host
            return [[row] for row in found]
        if self._has_more:
            self._has_more = self.store.bring_in_line()
        self.rooms.look()
        found = self.rooms.initiated(self.neighbours.scope(), on_host)
        self.more_initiated = len(found) >= on_host
        left = max(0, min(places, on_host - len(found)))
        of_queues: list[Due] = []
        if self.shares is None:
            of_queues = self._of_unserved(left)
        elif not self.is_held:
            of_queues = self._of_shares(self.shares, left)
        self.was_full = len(of_queues) >= left
        found += of_queues
        return [self.rooms.take(rows) for rows in self.rooms.together(found, runners)]

    def holds_back(self) -> bool:
        """Return True if something that this worker takes is due, and only a limit keeps it."""
        if self.shares is None or self.shares.only is not None:
            return False
        names = () if self.is_held else self.shares.weights
        open_queues = [name for name in names if name not in self._paused]
        scope = self.neighbours.scope()
        return self.rooms.holds_back(open_queues, set(registry.names()) - self.shares.ignored, scope)

    def _of_unserved(self, places: int) -> list[Due]:
        if places < 1:
            return []
        return self.rooms.in_turn(self.rooms.due_in(name, tasks, places) for name, tasks in self._open)[:places]

    def _of_shares(self, shares: Shares, places: int) -> list[Due]:
        tasks = set(registry.names()) - shares.ignored
        names = [name for name in shares.weights if name not in self._paused]
        if shares.is_strict:
            return self._strictly(names, tasks, places)
        heaps = {name: self.rooms.due_in(name, tasks, places)[::-1] for name in names} if places > 0 else {}
        found: list[Due] = []
        while len(found) < places and (filled := [name for name in names if heaps[name]]):
            found.append(heaps[self._next(shares.weights, filled)].pop())
        return found

    def _strictly(self, names: Iterable[str], tasks: Collection[str], places: int) -> list[Due]:
        found: list[Due] = []
        for name in names:
            if len(found) >= places:
                break
            found += self.rooms.due_in(name, tasks, places - len(found))
        return found

    def _next(self, weights: dict[str, int], names: Sequence[str]) -> str:
        """Choose by smooth weighted round robin, as nginx does: each gets its share, evenly spread."""
        for name in names:
            self._credit[name] = self._credit.get(name, 0) + weights[name]
        chosen = max(names, key=lambda name: self._credit[name])
        self._credit[chosen] -= sum(weights[name] for name in names)
        return chosen
