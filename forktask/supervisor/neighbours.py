"""The other supervisors: who lives, who replaces whom, and whose rows are left alone."""

from __future__ import annotations

from collections.abc import Collection

from forktask import process, registry
from forktask.proof import LAUNCH_GRACE, Witness, identity_of
from forktask.rows import Scope, SupervisorRow
from forktask.start.bell import clear_bell
from forktask.store import Store
from forktask.supervisor.address import Address


class Neighbours:
    """What a supervisor knows of the others; its own kind is embedded.

    Attributes:
        superseded: A newer version of the application has a supervisor: this one takes nothing more from the table.
        alone: No other supervisor lives.
    """

    def __init__(self, me: SupervisorRow, store: Store, witness: Witness, address: Address | None) -> None:
        self.me = me
        self.store = store
        self.witness = witness
        self.address = address
        self.superseded = False
        self.alone = False
        self._registered: frozenset[str] = frozenset()
        self._replaced: frozenset[str] = frozenset()

    def see(self) -> None:
        """Look who is there; say of those that were killed here, and left nothing under way, that they are no more."""
        present = self.store.supervisors()
        watching = {row.supervisor_id for row in self.store.under_way()}
        for row in present:
            if row.id not in watching and process.is_alive(identity_of(row)) is False:
                self.store.retire(row.id)
                clear_bell(self.witness.runtime_dir, row.id)
                if self.address is not None and row.name:
                    self.address.clear(row.name)
        others = [row for row in present if row.id != self.me.id and not self.witness.death_of(row.id)]
        self.alone = not others
        self._registered = frozenset(row.name for row in others)
        self._replaced = frozenset(row.name for row in others if self._replaces(self.me, row))
        newest = self.store.newest_supervisor(self.me.application, self.me.boot_id)
        is_replaceable = self.me.kind != "worker"  # a worker was started by an operator, who will end it
        self.superseded = is_replaceable and newest is not None and self._replaces(newest, self.me)

    def unserved(self, queues: Collection[str], tasks: Collection[str]) -> dict[str, list[str]]:
        """Return, for each queue that has any, those of the tasks that no worker takes from it."""
        workers = self.witness.serving() if queues else []
        left = {name: [task for task in tasks if not any(row.serves(name, task) for row in workers)] for name in queues}
        return {name: found for name, found in left.items() if found}

    def _replaces(self, newer: SupervisorRow, older: SupervisorRow) -> bool:
        return (
            newer.application == older.application
            and newer.version != older.version
            and _began_later(newer, older)
            and process.is_alive(identity_of(newer)) is not False
        )

    def scope(self) -> Scope:
        """Return which waiting rows are ours to start."""
        mine = self._replaced | {self.me.name}
        here = self.address.neighbours() if self.address is not None else set()
        return Scope(
            tasks=frozenset(registry.names()),
            application=self.me.application,
            mine=mine,
            neighbours=self._registered.union(here) - mine,
            grace=LAUNCH_GRACE,
        )


def _began_later(one: SupervisorRow, other: SupervisorRow) -> bool:
    """Compare by ticks since boot where that is the same: the clock may have been set back between the two."""
    if one.boot_id == other.boot_id:
        return one.start_ticks > other.start_ticks
    return one.started_at > other.started_at
