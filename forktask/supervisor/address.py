"""Where the embedded supervisor is found: its socket, the lock that guards it, its log."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket

from forktask.supervisor.clients import Clients

BACKLOG = 512
LOG_LIMIT = 1024 * 1024


class Address:
    """The socket's name in the private directory; there while the lock is held.

    The starter bound and listened and took the lock, then passed both on, so nobody waits for us.
    """

    def __init__(self, *, listener: socket.socket, lock: int, directory: int, name: str) -> None:
        self.listener = listener
        self.lock = lock
        self.directory = directory
        self.name = name
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
        """Stand there again if somebody has removed our name, as cleaners of temporary directories do."""
        with contextlib.suppress(OSError):
            if self._found() is None:
                self._stand_again(clients)

    def has_neighbours(self) -> bool:
        """Return True if other supervisors have their names in the directory, or had and were killed."""
        return any("." not in name and name != self.name for name in os.listdir(self.directory))

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

    def cap_log(self) -> None:
        """Empty our log when it has grown too long; it is opened for appending."""
        with contextlib.suppress(OSError):
            if os.fstat(2).st_size > LOG_LIMIT:
                os.ftruncate(2, 0)
