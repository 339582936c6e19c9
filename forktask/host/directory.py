"""The private directory of sockets, locks and logs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from typing import Self

from forktask.errors import LaunchError

LONGEST_SOCKET_ADDRESS = 107 if sys.platform == "linux" else 103
"""Bytes in `sockaddr_un.sun_path`, less the final zero."""

_OWN = "set FORKTASK_RUNTIME_DIR to a directory of this user's"


class PrivateDirectory:
    """A directory that nobody else can read or replace, held open by a descriptor.

    Attributes:
        path: Absolute.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor, for `dir_fd=`."""
        return self._descriptor

    def socket_address(self, name: str) -> str:
        """Return an address that fits: the path, or one through the descriptor, valid in this process only.

        Raises:
            LaunchError: The path is too long, and there is no `/proc`.
        """
        path = os.path.join(self.path, name)
        if len(os.fsencode(path)) <= LONGEST_SOCKET_ADDRESS:
            return path
        if not os.path.isdir(f"/proc/self/fd/{self._descriptor}"):
            raise LaunchError(
                f"the path {path} is longer than the {LONGEST_SOCKET_ADDRESS} bytes of a socket's address; "
                "set FORKTASK_RUNTIME_DIR to a shorter one"
            )
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Give the descriptor back; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def private_directory(configured: str) -> PrivateDirectory:
    """Open, and create if missing, the directory of sockets, locks and logs.

    Args:
        configured: The setting; empty for `forktask` in XDG_RUNTIME_DIR if that is ours, else one of this user's
            in the temporary directory.

    Raises:
        LaunchError: It cannot be created or written, is a link, belongs to somebody else or is open to others.
    """
    path = os.path.abspath(configured or _default_directory())
    try:
        if configured:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise LaunchError(f"cannot create {path}: {error.strerror}; {_OWN}") from error
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        what = "is a link; remove it, or" if os.path.islink(path) else f"cannot be opened: {error.strerror};"
        raise LaunchError(f"{path} {what} {_OWN}") from error
    if problem := _not_private(os.fstat(descriptor), path):
        os.close(descriptor)
        raise LaunchError(problem)
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        os.close(descriptor)
        raise LaunchError(f"{path} cannot be written by the user {os.geteuid()}; {_OWN}")
    return PrivateDirectory(path, descriptor)


def lock_file(directory: PrivateDirectory, name: str) -> int | None:
    """Return the number of the file that is the lock of that name now; None if there is none."""
    try:
        return os.stat(f"{name}.lock", dir_fd=directory.fileno(), follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None


def discard_lock(directory: PrivateDirectory, name: str, number: int) -> None:
    """Take away a lock that will never be given back, unless another process did so before; the next one is new.

    One at a time: else who found the old one there might take away the new one.
    """
    with contextlib.suppress(BlockingIOError, FileNotFoundError), _alone_in(directory):
        if lock_file(directory, name) == number:
            os.unlink(f"{name}.lock", dir_fd=directory.fileno())


@contextlib.contextmanager
def _alone_in(directory: PrivateDirectory) -> Iterator[None]:
    """Hold the lock of the directory itself.

    Raises:
        BlockingIOError: Somebody else does.
    """
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fileno())
    try:
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(own)


def is_locked(configured: str, name: str) -> bool:
    """Return True while a process holds the lock of that name in the private directory: its supervisor lives.

    Args:
        configured: As for `private_directory`.
    """
    path = os.path.join(os.path.abspath(configured or _default_directory()), f"{name}.lock")
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _not_private(found: os.stat_result, path: str) -> str:
    if found.st_uid != os.geteuid():
        return f"{path} belongs to the user {found.st_uid}, not to {os.geteuid()}; {_OWN}"
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        return f"{path} is open to other users (mode {mode:o}); run chmod 700 {path}, or {_OWN}"
    return ""


def _default_directory() -> str:
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    try:
        found = os.lstat(session) if os.path.isabs(session) else None
    except OSError:
        found = None
    if found is not None and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
        return os.path.join(session, "forktask")
    return os.path.join(tempfile.gettempdir(), f"forktask-{os.geteuid()}")
