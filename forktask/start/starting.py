"""Starting a supervisor by exec: nobody waits for it, and nobody races."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator

from forktask import host, process
from forktask.errors import LaunchError
from forktask.start.destination import Destination

log = logging.getLogger("forktask.start")

BACKLOG = 512


def start(destination: Destination, directory: host.PrivateDirectory) -> bool:
    """Start the supervisor unless somebody else holds its lock; return whether it was started here.

    The lock and the listening socket are made here and passed on, so that whoever connects next is
    served, although the supervisor's interpreter has not even begun.
    """
    try:
        with occupied(destination, directory) as own:
            if own is not None:
                _exec(destination, directory, own)
            return own is not None
    except OSError as error:
        raise LaunchError(f"cannot start the supervisor: {error}") from error


@contextlib.contextmanager
def occupied(destination: Destination, directory: host.PrivateDirectory) -> Iterator[dict[str, int] | None]:
    """Take the lock of a supervisor and listen in its place; close both, here, at the end.

    Yields the descriptors that the supervisor gets; None if somebody else holds the lock.
    """
    path = directory.socket_address(destination.name)
    lock = os.open(f"{directory.path}/{destination.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        if host.lock_file(directory, destination.name) != os.fstat(lock).st_ino:
            yield None  # it was discarded meanwhile: another one counts
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(path)
            listener.listen(BACKLOG)
            yield {"listener": listener.fileno(), "lock": lock, "directory": directory.fileno()}
    finally:
        os.close(lock)


def start_private(destination: Destination) -> socket.socket:
    """Start a supervisor of our own, where no private directory can be had; return the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)  # gevent's wait in spite of MSG_DONTWAIT
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
    ours, theirs = socket.socketpair()  # as a pipe, but a write to who is gone raises no signal
    try:
        process.exec_detached(
            process.command("supervisor", destination.name),
            stdin=theirs.fileno(),
            stderr=log_file,
            keep=tuple(own.values()),
            env=host.exec_environment(os.environ),
        )
        theirs.close()  # before the write, which else would wait for ever for a reader that is gone
        ours.sendall(json.dumps(config).encode(), socket.MSG_NOSIGNAL)
    finally:
        ours.close()
        theirs.close()
        os.close(log_file)
    log.info("started a supervisor name=%s", destination.name)
