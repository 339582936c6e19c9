"""The web process's side of the supervisor's socket: rings, and starts the supervisor if there is none."""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from forktask import clock, host
from forktask.errors import ApplicationNotFoundError, LaunchError
from forktask.jsonvalues import compact
from forktask.start.destination import Destination
from forktask.start.starting import start, start_private
from forktask.supervisor.clients import peer_uid

TRIES = 4
RETRY_AFTER = 0.002
START_PATIENCE = 2.0
"""Seconds; another starter needs microseconds between taking the lock and listening, unless the machine is busy."""
MISSED_FOR = 60.0
"""Seconds in which a supervisor that is gone may leave rows to be started, one that was told to end the last."""
SAID_EVERY = 1.0
PATIENCE = 1.0
"""Seconds to wait for room in a full socket, for orders that only a message can carry."""


class Doorbell:
    """Sends orders to the supervisor of this application on this host, and never waits for it.

    Args:
        destination: Called at the first ring, when the application is known.
    """

    def __init__(self, destination: Callable[[], Destination]) -> None:
        self._find = destination
        self._destination: Destination | None = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._pid = 0
        self._gone_at: float | None = None
        self._said_at = 0.0

    @property
    def destination(self) -> Destination:
        """Which supervisor it is."""
        self.find()
        assert self._destination is not None
        return self._destination

    def find(self) -> None:
        """Find out which supervisor it is, before a row needs it.

        Raises:
            ApplicationNotFoundError: Another process could not import this application.
        """
        self._destination = self._destination or self._find()

    def ring(self, message: Sequence[Any], *, must_arrive: bool = False) -> bool:
        """Send one message; False if the socket is full, then the supervisor finds the row by itself.

        Args:
            must_arrive: Wait up to a second for room.

        Raises:
            LaunchError: No supervisor is there and none could be started.
        """
        data = packet(message)
        for _ in range(TRIES):
            connection = None
            try:
                connection = self._connection()
                connection.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
                return True
            except BlockingIOError:
                if not must_arrive or not _room_comes(connection):
                    return False
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    raise LaunchError(
                        f"a message of {len(data)} bytes, with a task's arguments, is too long"
                    ) from error
                self._forget(connection)
        raise LaunchError("the supervisor of this application takes no message; see its log in the runtime directory")

    def watch(self, status_id: str) -> socket.socket | None:
        """Return a connection that becomes readable when the status ends.

        Returns:
            None if there is no supervisor to ask.
        """
        try:
            destination = self.destination
        except ApplicationNotFoundError:
            return None
        if destination.directory is None:
            return None
        connection = _unconnected()
        try:
            connection.connect(destination.directory.socket_address(destination.name))
            connection.send(json.dumps(["watch", status_id]).encode(), socket.MSG_NOSIGNAL)
        except OSError:
            connection.close()
            return None
        return connection

    def has_lost(self) -> bool:
        """Return True if the supervisor that this process had is gone: at once, then once a second for a minute.

        It costs about a microsecond while there is one. Afterwards a supervisor that was told to end may still have
        rows under way, which wait later.
        """
        connection = self._socket
        if connection is None or self._pid != os.getpid():
            return self._gone_at is not None and self._is_time_to_say_so(self._gone_at)
        if not _hung_up(connection):
            return False
        self._forget(connection)
        self._gone_at = self._said_at = clock.monotonic()
        return True

    def _is_time_to_say_so(self, gone_at: float) -> bool:
        now = clock.monotonic()
        if now - gone_at > MISSED_FOR:
            self._gone_at = None
        elif now - self._said_at >= SAID_EVERY:
            self._said_at = now
            return True
        return False

    def forget_after_fork(self) -> None:
        """In a forked child: connect anew; the connection and the lock are the parent's."""
        self._lock = threading.Lock()
        self._socket = None
        self._gone_at = None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one thread in at a time. Who waits sleeps: the lock may be older than the patches of gevent.

        A greenlet that waited in it would then keep the one from going on that holds it.
        """
        while not self._lock.acquire(blocking=False):
            clock.sleep(RETRY_AFTER)
        try:
            yield
        finally:
            self._lock.release()

    def close(self) -> None:
        """Hang up."""
        with self._alone():
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def _forget(self, connection: socket.socket | None) -> None:
        with self._alone():
            if connection is not None and self._socket is connection:
                self._socket = None
                connection.close()

    def _connection(self) -> socket.socket:
        with self._alone():
            if self._socket is None or self._pid != os.getpid():
                self._socket = self._connect()
                self._pid = os.getpid()
                self._gone_at = None
            return self._socket

    def _connect(self) -> socket.socket:
        destination = self.destination
        if destination.directory is None:
            return start_private(destination)
        address = destination.directory.socket_address(destination.name)
        until = clock.monotonic() + START_PATIENCE
        started = 0
        stale = host.lock_file(destination.directory, destination.name)
        while (connection := _connected(address)) is None:
            if clock.monotonic() > until and stale is not None:
                # Who holds it is no supervisor, which would listen: a child that was forked while one was started.
                host.discard_lock(destination.directory, destination.name, stale)
                until, stale = clock.monotonic() + START_PATIENCE, None
            if started == TRIES or clock.monotonic() > until:
                raise LaunchError(f"the supervisor at {address} does not listen")
            if start(destination, destination.directory):
                started += 1
            else:
                clock.sleep(RETRY_AFTER)
        return connection


def packet(message: Sequence[Any]) -> bytes:
    """Return the bytes of a message; a lone surrogate, which stands for a byte of a file's name, stays what it is."""
    return compact(message).encode(errors="surrogatepass")


def _hung_up(connection: socket.socket) -> bool:
    """Return True if the other side is gone; it says nothing otherwise."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _unconnected() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)  # else connect() waits for room among those that are not accepted yet
    return connection


def _room_comes(connection: socket.socket | None) -> bool:
    """Wait a while; return True if it is worth another try."""
    if connection is None:
        clock.sleep(PATIENCE / TRIES)
        return True
    with selectors.DefaultSelector() as selector:  # not select(), which takes descriptors below 1024 only
        selector.register(connection, selectors.EVENT_WRITE)
        return bool(selector.select(PATIENCE))


def _connected(address: str) -> socket.socket | None:
    """Return a connection to whoever listens at an address; None if nobody does.

    Raises:
        LaunchError: It is somebody else's.
        BlockingIOError: Too many wait to be accepted, since it still imports, or was stopped.
    """
    connection = _unconnected()
    try:
        connection.connect(address)
    except BlockingIOError:
        connection.close()
        raise
    except OSError:
        connection.close()
        return None
    if peer_uid(connection) != os.geteuid():
        connection.close()
        raise LaunchError(f"the socket {address} belongs to another user")
    return connection
