"""The database of a site as the soak sees it: plain SQL to read, and what makes it go away for a while."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg

from tests.soak.cluster import Cluster
from tests.soak.processes import anonymous_memory
from tests.soak.snapshot import LIVE, Attempt, Key, Row, Supervisor

CHANGED = f"state IN {LIVE} OR updated_at >= "
TABLES = "forktask_status, forktask_attempt, forktask_log, forktask_supervisor"


class Asked(Protocol):
    """A connection of either driver, as far as it is used here."""

    def execute(self, query: Any, parameters: Any = ..., /) -> Any: ...


class Rows:
    """All that one look reads, in one transaction."""

    def __init__(self, connection: Asked, placeholder: str) -> None:
        self._connection = connection
        self._placeholder = placeholder

    def changed(self, since: datetime | None) -> dict[str, Row]:
        """Return the live rows and those that were written since; without a time, all."""
        names = ", ".join(Row._fields)
        query = f"SELECT {names} FROM forktask_status"
        given: Sequence[Any] = ()
        if since is not None:
            query += f" WHERE {CHANGED}{self._placeholder}"
            given = (since if self._placeholder == "%s" else f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",)
        return {row.id: row for row in map(as_row, self._connection.execute(query, given))}

    def attempts(self, ids: Collection[str] | None) -> dict[Key, Attempt]:
        """Return the ends of these rows; of all without ids."""
        names = ", ".join(Attempt._fields)
        found = self._of_ids(f"SELECT {names} FROM forktask_attempt", ids, "")
        return {
            (text(one[0]), one[1]): Attempt._make((text(one[0]), *one[1:6], text(one[6]), *one[7:])) for one in found
        }

    def logs(self, ids: Collection[str] | None) -> dict[Key, int]:
        """Return how many pieces of output each attempt has."""
        found = self._of_ids(
            "SELECT status_id, attempt, count(*) FROM forktask_log", ids, " GROUP BY status_id, attempt"
        )
        return {(text(one[0]), one[1]): one[2] for one in found}

    def supervisors(self) -> dict[str, Supervisor]:
        """Return all supervisors that there ever were."""
        query = "SELECT id, name, version, pid, start_ticks, stopped_at IS NOT NULL FROM forktask_supervisor"
        found = [Supervisor._make((text(one[0]), *one[1:5], bool(one[5]))) for one in self._connection.execute(query)]
        return {one.id: one for one in found}

    def _of_ids(self, query: str, ids: Collection[str] | None, rest: str) -> Iterator[Any]:
        if ids is None:
            yield from self._connection.execute(query + rest)
            return
        stored: list[Any] = [UUID(one) if self._placeholder == "%s" else UUID(one).hex for one in ids]
        for start in range(0, len(stored), 500):
            some = stored[start : start + 500]
            marks = ", ".join([self._placeholder] * len(some))
            yield from self._connection.execute(f"{query} WHERE status_id IN ({marks}){rest}", some)


def text(value: Any) -> str:
    """Return an id as text, however the database keeps it; empty for none."""
    return "" if value is None else str(value if isinstance(value, UUID) else UUID(value))


def as_row(values: Sequence[Any]) -> Row:
    result = json.loads(values[11]) if isinstance(values[11], str) else values[11]
    supervisor = text(values[8]) or None
    return Row._make((text(values[0]), *values[1:8], supervisor, *values[9:11], result))


class Sqlite:
    """A file; it is away while somebody holds its lock."""

    kind = "sqlite"
    ways = ("lock",)

    def __init__(self, folder: Path) -> None:
        self.path = folder / "site.sqlite"
        self.url = f"sqlite:///{self.path}"
        self._locked: sqlite3.Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """Yield what one look reads; each opens and closes, so that it keeps no snapshot alive."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10, isolation_level=None)) as one:
            one.execute("BEGIN")
            yield Rows(one, "?")

    def go(self, way: str) -> None:
        """Take the lock that every writer needs."""
        self._locked = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        self._locked.execute("BEGIN EXCLUSIVE")

    def come_back(self) -> None:
        """Let go of it."""
        if self._locked is not None:
            self._locked.execute("ROLLBACK")
            self._locked.close()
            self._locked = None

    def sizes(self) -> dict[str, int]:
        """Return sizes that must not grow without end."""
        wal = Path(f"{self.path}-wal")
        return {"bytes of write-ahead log": wal.stat().st_size if wal.exists() else 0}

    def close(self) -> None:
        """Nothing runs."""


class Postgresql:
    """A cluster of its own, so that its restarts are real and nobody else's."""

    kind = "postgresql"
    ways = ("stop fast", "stop immediate", "kill", "terminate")

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster()
        self.url = f"postgresql://{self.cluster.user}@127.0.0.1:{self.cluster.port}/postgres"
        self._plain = self.url

    @contextmanager
    def reading(self) -> Iterator[Rows]:
        """Yield what one look reads."""
        with psycopg.connect(self._plain, connect_timeout=5, application_name="soak") as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            yield Rows(connection, "%s")

    def go(self, way: str) -> None:
        """Stop the server in one of its ways; `terminate` ends each session and nothing else."""
        if way == "terminate":
            with psycopg.connect(self._plain, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
                )
            return
        self.cluster.stop(way.removeprefix("stop "))

    def come_back(self) -> None:
        """Start it again."""
        self.cluster.start()

    def sizes(self) -> dict[str, int]:
        """Return sizes that must not grow without end."""
        pids = self.cluster.processes()
        return {
            "bytes of write-ahead log": self.cluster.wal_size(),
            "server processes": len(pids),
            "server memory": sum(map(anonymous_memory, pids)),
        }

    def close(self) -> None:
        """End the cluster."""
        self.cluster.remove()


Database = Sqlite | Postgresql
DATABASES: dict[str, type[Sqlite] | type[Postgresql]] = {"sqlite": Sqlite, "postgresql": Postgresql}


def lately(moment: datetime | None) -> datetime | None:
    """Return from when on a look reads what changed: somewhat before the last one that went well."""
    return moment - timedelta(seconds=10) if moment is not None else None
