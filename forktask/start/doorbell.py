"""The web process's side of the supervisor's socket: rings, and starts the supervisor if there is none."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import select
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from forktask import clock, host, process
from forktask.errors import ApplicationNotFoundError, LaunchError
from forktask.start.destination import Destination
from forktask.supervisor.clients import peer_uid

log = logging.getLogger("forktask.start")

BACKLOG = 512
TRIES = 4
RETRY_AFTER = 0.002
START_PATIENCE = 2.0
"""Seconds; another starter needs microseconds between taking the lock and listening, unless the machine is busy."""
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
        data = json.dumps(message).encode()
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

    def forget_after_fork(self) -> None:
        """In a forked child: connect anew; the connection and the lock are the parent's."""
        self._lock = threading.Lock()
        self._socket = None

    def close(self) -> None:
        """Hang up."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None

    def _forget(self, connection: socket.socket | None) -> None:
        with self._lock:
            if connection is not None and self._socket is connection:
                self._socket = None
                connection.close()

    def _connection(self) -> socket.socket:
        with self._lock:
            if self._socket is None or self._pid != os.getpid():
                self._socket = self._connect()
                self._pid = os.getpid()
            return self._socket

    def _connect(self) -> socket.socket:
        destination = self.destination
        if destination.directory is None:
            return start_private(destination)
        address = destination.directory.socket_address(destination.name)
        until = clock.monotonic() + START_PATIENCE
        started = 0
        while (connection := _connected(address)) is None:
            if started == TRIES or clock.monotonic() > until:
                raise LaunchError(f"the supervisor at {address} does not listen")
            if start(destination, destination.directory):
                started += 1
            else:
                clock.sleep(RETRY_AFTER)
        return connection


def _unconnected() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.setblocking(False)  # else connect() waits for room among those that are not accepted yet
    return connection


def _room_comes(connection: socket.socket | None) -> bool:
    """Wait a while; return True if it is worth another try."""
    if connection is None:
        clock.sleep(PATIENCE / TRIES)
        return True
    return bool(select.select((), (connection,), (), PATIENCE)[1])


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


def start(destination: Destination, directory: host.PrivateDirectory) -> bool:
    """Start the supervisor unless somebody else holds its lock; return whether it was started here.

    The lock and the listening socket are made here and passed on, so that whoever connects next is
    served, although the supervisor's interpreter has not even begun.
    """
    path = directory.socket_address(destination.name)
    lock = os.open(f"{directory.path}/{destination.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen(BACKLOG)
            own = {"listener": listener.fileno(), "lock": lock, "directory": directory.fileno()}
            _exec(destination, directory, own)
        return True
    except OSError as error:
        raise LaunchError(f"cannot start the supervisor: {error}") from error
    finally:
        os.close(lock)


def start_private(destination: Destination) -> socket.socket:
    """Start a supervisor of our own, where no private directory can be had; return the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            _exec(destination, None, {"client": theirs.fileno()})
        except OSError as error:
            ours.close()
            raise LaunchError(f"cannot start the supervisor: {error}") from error
    return ours


def _exec(destination: Destination, directory: host.PrivateDirectory | None, own: dict[str, int]) -> None:
    config = {**destination.configuration(), **own, "name": destination.name}
    if directory is None:
        log_file = os.open(os.devnull, os.O_WRONLY)
    else:
        path = f"{directory.path}/{destination.name}.log"
        log_file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    read, write = os.pipe()
    try:
        process.exec_detached(
            process.command("supervisor", destination.name),
            stdin=read,
            stderr=log_file,
            keep=tuple(own.values()),
            env=host.exec_environment(os.environ),
        )
        with open(write, "wb", closefd=False) as pipe:
            pipe.write(json.dumps(config).encode())
    finally:
        for descriptor in (read, write, log_file):
            os.close(descriptor)
    log.info("started a supervisor name=%s", destination.name)
