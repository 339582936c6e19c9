"""Where the embedded supervisor is found: its socket, the lock that guards it, its log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator

from forktask import host
from forktask.supervisor.clients import Clients

BACKLOG = 512
LOG_LIMIT = 1024 * 1024
PLACES = "places.lock"


class Address:
    """The socket's name in the private directory; there while the lock is held.

    The starter bound and listened and took the lock, then passed both on, so nobody waits for us.
    """

    def __init__(self, *, listener: socket.socket, lock: int, directory: int, name: str) -> None:
        self.listener = listener
        self.lock = lock
        self.directory = directory
        self.name = name
        self.has_log = True
        """True if standard error is a file of ours."""
        self._file = self._found()

    def is_wanted(self, clients: Clients) -> bool:
        """Take the name away and see whether somebody had just come; if so, stand there again."""
        self._remove()
        if not clients.accept():
            return False
        with contextlib.suppress(OSError):  # then `keep` tries again; who came is served in any case
            self._stand_again(clients)
        return True

    def _stand_again(self, clients: Clients) -> None:
        again = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        again.bind(f"/proc/self/fd/{self.directory}/{self.name}")
        again.listen(BACKLOG)
        clients.accept()
        clients.selector.unregister(self.listener)
        self.listener.close()
        self.listener = again
        self._file = self._found()
        clients.listen(again)

    def keep(self, clients: Clients) -> None:
        """Stand there again if somebody has removed our name, as cleaners of temporary directories do; cap the log."""
        with contextlib.suppress(OSError):
            if self._found() is None:
                self._stand_again(clients)
        if self.has_log:
            self._cap_log()

    def neighbours(self) -> set[str]:
        """Return the names of other supervisors that live here, those too that still import their application."""
        names = {name for name in os.listdir(self.directory) if "." not in name and name != self.name}
        return {name for name in names if host.is_locked(f"/proc/self/fd/{self.directory}", name)}

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Have the places of this host to ourselves, so that no two supervisors take the same one.

        Yields False if another one counts at this moment: it will be done before we come again.
        """
        try:
            lock = os.open(PLACES, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=self.directory)
        except OSError:  # no room for the file: the limit matters less than that tasks start
            yield True
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)  # closing alone would not do: a runner forked meanwhile has it, too
            os.close(lock)

    def clear(self, name: str) -> None:
        """Take away the socket that a killed supervisor left, unless another one takes its place."""
        if name == self.name or not name.isalnum():  # it comes from the table
            return
        with contextlib.suppress(OSError), _lock_of(self.directory, name):
            os.unlink(name, dir_fd=self.directory)

    def withdraw(self) -> None:
        """Let the next starter have the name."""
        self._remove()
        with contextlib.suppress(OSError):
            # Closing alone would not do: a runner that is just being forked holds the lock, too.
            fcntl.flock(self.lock, fcntl.LOCK_UN)
            os.close(self.lock)

    def _remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._file is not None and self._found() == self._file:
                os.unlink(self.name, dir_fd=self.directory)

    def _found(self) -> int | None:
        """Return the number of the file that has our name; None if there is none."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False).st_ino
        except OSError:
            return None

    def _cap_log(self) -> None:
        """Empty our log when it has grown too long; it is opened for appending."""
        with contextlib.suppress(OSError):
            if os.fstat(2).st_size > LOG_LIMIT:
                os.ftruncate(2, 0)


@contextlib.contextmanager
def _lock_of(directory: int, name: str) -> Iterator[None]:
    """Hold the lock of a supervisor that is gone, as a starter does: none begins meanwhile."""
    lock = os.open(f"{name}.lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)
