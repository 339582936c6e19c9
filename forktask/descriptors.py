"""Descriptors that a child inherited: which there are, and how to be rid of them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
from collections.abc import Collection

FOLDER = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
SQLITE_SHARED = (510, 0x40000002)
SQLITE_DEAD_MAN_SWITCH = (1, 128)
"""Length and start of the locks that every connection in WAL mode holds: on the database, on its `-shm` (os_unix.c)."""


def open_descriptors() -> list[int]:
    """Return the numbers of all open descriptors of this process."""
    found = [int(name) for name in os.listdir(FOLDER) if name.isdigit()]
    return [number for number in found if _is_open(number)]  # without the one that listed the folder


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def close_all_but(keep: Collection[int], *, inherited: Collection[int] = ()) -> None:
    """Close descriptors in a child whose old Python objects live on, unused.

    Args:
        inherited: Descriptors that belong to the application: its files stay open, its sockets become
            `/dev/null`, so that their numbers are not given to something new which the sockets'
            objects would then close.
    """
    for number in open_descriptors():
        if number not in keep and number not in inherited:
            os.close(number)
    null_sockets(keep)


def null_sockets(keep: Collection[int] = ()) -> None:
    """Make `/dev/null` of every socket but those in `keep`: no word of ours reaches a peer of the parent's."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in open_descriptors():
        with contextlib.suppress(OSError):
            if number not in keep and stat.S_ISSOCK(os.fstat(number).st_mode):
                os.dup2(null, number, inheritable=False)
    os.close(null)


def hold_sqlite_locks(inherited: Collection[int]) -> None:
    """Take the locks anew that the parent's SQLite connections in WAL mode hold; a fork does not pass them on.

    SQLite counts locks in memory, which a fork copies. A connection that the child opens to the same file would
    believe that it is locked already, and the parent's last close would delete the log that the child writes.
    """
    names = {number: _name(number) for number in inherited}
    for number, name in names.items():
        if name + "-shm" in names.values():
            _share(number, SQLITE_SHARED)
        elif name.endswith("-shm"):
            _share(number, SQLITE_DEAD_MAN_SWITCH)


def _name(number: int) -> str:
    try:
        return os.readlink(f"{FOLDER}/{number}")
    except OSError:
        return ""


def _share(number: int, place: tuple[int, int]) -> None:
    with contextlib.suppress(OSError):  # the parent holds it alone at this moment; then the child sees "locked"
        fcntl.lockf(number, fcntl.LOCK_SH | fcntl.LOCK_NB, *place)
