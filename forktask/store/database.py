"""Connections, transactions and timeouts of the three databases."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event, exc, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import PoolProxiedConnection, QueuePool

from forktask import clock, dialects
from forktask.store import schema
from forktask.store.failures import TablesMissingError, failure, is_deadlock, is_missing_table
from forktask.store.patience import SUPERVISOR_TIMEOUTS, TIMEOUTS, patient_connection
from forktask.store.statements import Compiled, Statement, Values

T = TypeVar("T")
Build = Callable[..., Statement]

_abandoned: list[Any] = []
"""What was inherited through a fork: kept for ever, so that nothing of it is finalised. A PostgreSQL
connection would say good-bye on the parent's socket, the last close of SQLite may delete its WAL."""


POOL: Final[dict[str, Any]] = {"pool_size": 5, "max_overflow": 45, "pool_timeout": 5, "pool_use_lifo": True}
"""Five stay open; a server with fifty threads gets what it needs."""


AT_ONCE: Final = 0.5
"""Seconds within which a connection that died while idle says so; later it is the server that does not answer."""

MOST_DEADLOCKS: Final = 20
"""How often a transaction is begun anew that met others head-on."""


class Database:
    """One engine in autocommit mode, and statements compiled once for it."""

    def __init__(self, url: str, *, supervisor: bool) -> None:
        self.url = make_url(url)
        self.kind: str = self.url.get_backend_name()
        self.is_sqlite = self.kind == "sqlite"
        self.has_returning = self.kind in ("sqlite", "postgresql")
        self.makes_tables = True
        """False: it is an error where they are missing."""
        self.timeouts = SUPERVISOR_TIMEOUTS if supervisor else TIMEOUTS
        self._compiled: dict[Hashable, Compiled] = {}
        self._open: dict[int, Any] = {}
        self._pid = os.getpid()
        self._seeing_fork = threading.Lock()
        self.engine = self._create_engine(supervisor)
        self._begin = "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN"

    def _create_engine(self, supervisor: bool) -> Engine:
        pool: dict[str, Any] = {"poolclass": QueuePool, **POOL}
        if supervisor:
            pool |= {"pool_size": 1, "max_overflow": 0}
        dialects.part(self.kind)
        options: dict[str, Any] = {"use_native_hstore": False} if self.kind == "postgresql" else {}
        engine = create_engine(
            self.url,
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            connect_args=self._connect_arguments(),
            **pool,
            **options,
        )
        if self.kind == "postgresql":
            patient = patient_connection(engine.dialect.loaded_dbapi, self.timeouts.statement + 1)
            event.listen(engine, "do_connect", lambda dialect, record, given, named: patient.connect(*given, **named))
        event.listen(engine, "connect", self._connected)
        if supervisor and self.is_sqlite:
            event.listen(engine, "checkout", self._refuse_replaced)
        event.listen(engine, "close", self._closed)
        return engine

    def _connect_arguments(self) -> dict[str, Any]:
        limits = self.timeouts
        if self.is_sqlite:
            return {"timeout": limits.busy}
        if self.kind == "postgresql":
            return {"connect_timeout": limits.connect}
        patience = limits.statement + 1
        return {"connect_timeout": limits.connect, "read_timeout": patience, "write_timeout": patience}

    def _connected(self, connection: DBAPIConnection, record: Any) -> None:
        self._open[id(connection)] = connection
        cursor = connection.cursor()
        for statement in self._session_settings(connection):
            cursor.execute(statement)
        cursor.close()
        record.info["file"] = self._file()

    def _refuse_replaced(self, connection: DBAPIConnection, record: Any, proxy: Any) -> None:
        """Have the pool connect anew if another file stands where the one was that is open."""
        if record.info["file"] != self._file():
            raise exc.DisconnectionError("the file was replaced")

    def _file(self) -> tuple[int, int] | None:
        if not self.is_sqlite:
            return None
        try:
            found = os.stat(self.url.database or "")
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _session_settings(self, connection: Any) -> tuple[str, ...]:
        seconds = self.timeouts.statement
        if self.is_sqlite:
            return ("PRAGMA synchronous=NORMAL",)
        if self.kind == "postgresql":
            return (f"SET statement_timeout = {seconds * 1000}; SET timezone = 'UTC'",)
        limit = "max_statement_time" if "MariaDB" in connection.get_server_info() else "max_execution_time"
        value = seconds if limit == "max_statement_time" else seconds * 1000
        # READ COMMITTED locks rows and not the gaps between them, so that claims do not stand in each other's way.
        settings = f"innodb_lock_wait_timeout = {seconds}, {limit} = {value}"
        return (f"SET SESSION {settings}", "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def _closed(self, connection: DBAPIConnection, record: Any) -> None:
        self._open.pop(id(connection), None)

    @property
    def shown_url(self) -> str:
        """Its address without the password."""
        return self.url.render_as_string()

    def expect_tables(self) -> None:
        """Make it an error from now on if there are no tables; no file is made for SQLite, either."""
        self.makes_tables = False
        if self.is_sqlite and self._file() is None and "uri" not in self.url.query:
            raise TablesMissingError(self.shown_url)

    def compiled(self, build: Build, *arguments: Hashable) -> Compiled:
        """Return the statement that `build(*arguments)` gives, compiled once.

        Call it inside `run`: before the first connection the dialect does not know its server.
        """
        key = (build, arguments)
        if (statement := self._compiled.get(key)) is None:
            statement = self._compiled[key] = Compiled(build(*arguments), self.engine.dialect)
        return statement

    def change(self, build: Build, *arguments: Hashable, values: Values) -> int:
        """Run the statement that `build(*arguments)` gives by itself; return how many rows it changed."""
        return self.run(lambda cursor: self.compiled(build, *arguments).change(cursor, values))

    def rows(self, build: Build, *arguments: Hashable, values: Values) -> list[tuple[Any, ...]]:
        """Run the statement that `build(*arguments)` gives by itself; return its rows."""
        return self.run(lambda cursor: self.compiled(build, *arguments).rows(cursor, values))

    def run(self, work: Callable[[Any], T], *, transaction: bool = False) -> T:
        """Return `work(cursor)`, in one transaction or with each statement committed by itself.

        It is done again with another connection if one that had been left over from earlier was found dead at the
        first statement, and once if the tables did not exist yet. (One statement that is repeated after the server
        went away while it ran may find its own work done.)

        Raises:
            StoreUnavailableError: The same may do later.
            StoreRefusedError: It will not.
        """
        self._see_fork()
        try:
            try:
                return self._with_live_connection(work, transaction)
            except Exception as error:
                if not is_missing_table(error):
                    raise
                if not self.makes_tables:
                    raise TablesMissingError(self.shown_url) from error
            self.create_tables()
            return self._with_live_connection(work, transaction)
        except Exception as error:
            if self.is_ours(error):
                raise failure(error) from error
            raise

    def _with_live_connection(self, work: Callable[[Any], T], transaction: bool) -> T:
        deadlocks = 0
        while True:
            try:
                return self._attempt(work, transaction)
            except _StaleError:
                # Each time one connection less is left over; a new one is never called stale.
                continue
            except Exception as error:
                # The database has taken all of it back, and let another one through.
                deadlocks += 1
                if not (transaction and is_deadlock(error)) or deadlocks > MOST_DEADLOCKS:
                    raise

    def _attempt(self, work: Callable[[Any], T], transaction: bool) -> T:
        connection = self.engine.raw_connection()
        is_used = connection.info.setdefault("used", False)
        connection.info["used"] = True
        begun = False
        start = clock.monotonic()
        try:
            cursor = connection.cursor()
            if transaction:
                cursor.execute(self._begin)
                begun = True
            result = work(cursor)
            if transaction:
                cursor.execute("COMMIT")
            cursor.close()
        except BaseException as error:
            is_dead = self._clean_up(connection, error, begun)
            at_once = clock.monotonic() - start < AT_ONCE
            if is_dead and is_used and at_once and not begun and isinstance(error, Exception):
                raise _StaleError from error
            raise
        finally:
            connection.close()
        return result

    def _clean_up(self, connection: PoolProxiedConnection, error: BaseException, begun: bool) -> bool:
        """Roll back, or drop a connection that cannot; return True if it was dead."""
        driver: Any = connection.driver_connection
        dialect = self.engine.dialect
        is_dead = isinstance(error, Exception) and dialect.is_disconnect(error, driver, None)  # type: ignore[arg-type]
        if begun and not is_dead:
            try:
                driver.cursor().execute("ROLLBACK")
            except Exception:  # whatever the driver finds wrong now, the connection is of no use
                is_dead = True
        if is_dead or not isinstance(error, Exception):
            # A KeyboardInterrupt may have left half an answer on the wire.
            connection.invalidate()
        return is_dead

    def is_ours(self, error: BaseException) -> bool:
        """Return True for what a database or the way to it did."""
        dbapi = self.engine.dialect.dbapi
        return isinstance(error, exc.SQLAlchemyError | OSError) or (
            dbapi is not None and isinstance(error, dbapi.Error)
        )

    def create_tables(self) -> None:
        """Create the tables and indexes that are missing."""
        self.with_engine(schema.create_tables)

    def drop_tables(self) -> None:
        """Drop the tables and all that is in them."""
        self.with_engine(schema.drop_tables)

    def with_engine(self, work: Callable[[Engine], T]) -> T:
        """Return `work(engine)`, for what is asked of the tables themselves; raises what `run` does."""
        self._see_fork()
        try:
            return work(self.engine)
        except Exception as error:
            if self.is_ours(error):
                raise failure(error) from error
            raise

    def close(self) -> None:
        """Close idle connections."""
        self._see_fork()
        self.engine.dispose()

    def _see_fork(self) -> None:
        """In a forked child leave all alone that was inherited, and begin afresh.

        Seen by the pid: uWSGI forks without Python's knowledge, and gevent patches the locks of a pool after the fork.
        """
        if self._pid == os.getpid():
            return
        with self._seeing_fork:
            if self._pid != os.getpid():
                _abandoned.append((self.engine.pool, self._open))
                self._open = {}
                self.engine.dispose(close=False)
                self._pid = os.getpid()

    def close_files(self) -> None:
        """Close SQLite, which must not be open when this process forks; a server's connections stay."""
        if self.is_sqlite:
            self.engine.dispose()

    def socket_descriptors(self) -> list[int]:
        """Return the descriptors of open connections to a server."""
        if self.kind == "postgresql":
            return [connection.fileno() for connection in self._open.values() if not connection.closed]
        if self.is_sqlite:
            return []
        # PyMySQL has no public name for its socket.
        return [connection._sock.fileno() for connection in self._open.values() if connection.open]


class _StaleError(Exception):
    """A connection from the pool was dead before it was asked anything."""
