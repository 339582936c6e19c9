"""Word from other hosts: PostgreSQL passes on, to workers that listen, that something was left to a queue."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from sqlalchemy import String, bindparam, func, literal_column, select

from forktask.store import conditions
from forktask.store.conditions import one_of, padded
from forktask.store.database import Database
from forktask.store.failures import failure
from forktask.store.patience import patient_connection
from forktask.store.queues import UNBOUND
from forktask.store.statements import AT, Statement, database_now
from forktask.tables import QUEUED_STATE, STATUS

T = TypeVar("T")

CHANNEL: Final = "forktask"
KEEPALIVES: Final = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
"""Seconds, seconds, times: who only listens would never learn that the line is dead."""


class Notices:
    """What is said beside the tables, and what a worker has to know before it rests."""

    database: Database

    def notify(self, queue: str) -> None:
        """Tell workers on other hosts that something was left to a queue; where the database cannot, they look."""
        if self.database.kind == "postgresql":
            self.database.rows(select_notified, values={"queue": queue})

    def listen(self) -> Listener | None:
        """Return a connection that hears `notify`; None where the database has none.

        Raises:
            StoreUnavailableError: The same may do later.
        """
        return Listener(self.database) if self.database.kind == "postgresql" else None

    def next_due(self, queues: Collection[str], tasks: Collection[str], since: float) -> float | None:
        """Return in how many seconds the first row of these queues will be due; None: none waits for its time.

        Args:
            since: Seconds ago from which on those count that have become due, for a look that began then has missed
                them; what is returned is negative for them.
        """
        if not queues or not tasks:
            return None
        names, known = padded("queue", sorted(queues)), padded("task", sorted(tasks))
        values = names | known | {"microseconds": round(since * 1e6)}
        first, now = self.database.rows(select_next_due, len(names), len(known), values=values)[0]
        return (first - now).total_seconds() if first is not None else None


class Listener:
    """A connection of its own; nothing but opening it waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        engine, timeouts = database.engine, database.timeouts
        given, named = engine.dialect.create_connect_args(database.url)
        named = {**KEEPALIVES, "fallback_application_name": CHANNEL, "connect_timeout": timeouts.connect, **named}
        patient = patient_connection(engine.dialect.loaded_dbapi, timeouts.statement + 1)
        self._connection = self._guarded(lambda: patient.connect(*given, **named, autocommit=True))
        try:
            self._guarded(lambda: self._connection.execute(f"LISTEN {CHANNEL}"))
        except BaseException:
            self.close()
            raise
        self._descriptor: int = self._connection.fileno()  # once the connection is lost it cannot be asked

    def fileno(self) -> int:
        """Return the descriptor, as selectors want it."""
        return self._descriptor

    def heard(self) -> set[str]:
        """Return the queues of which something was said.

        Raises:
            StoreUnavailableError: The connection is lost.
        """
        return self._guarded(self._heard)

    def _heard(self) -> set[str]:
        line, found = self._connection.pgconn, set()
        line.consume_input()
        while (notice := line.notifies()) is not None:
            found.add(notice.extra.decode("utf-8", "replace"))
        return found

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:
            if self._database.is_ours(error):
                raise failure(error) from error
            raise


def select_notified() -> Statement:
    """Says something to all that listen."""
    channel = literal_column(f"'{CHANNEL}'", String)
    said: Any = func.pg_notify(channel, bindparam("queue", type_=String))
    return select(said)


def select_next_due(queues: int, tasks: int) -> Statement:
    """When the first row is due that waits for its time, and the time by the clock of the database."""
    these = (STATUS.c.queue.in_(one_of("queue", queues)), STATUS.c.task.in_(one_of("task", tasks)))
    first = func.min(STATUS.c.run_after, type_=STATUS.c.run_after.type)
    later = (conditions.NOT_CANCELLED, UNBOUND, STATUS.c.run_after > AT)
    return select(first, database_now()).where(QUEUED_STATE, *these, *later)
