"""Descriptors that a child inherited: which there are, and how to be rid of them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Collection

FOLDER = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"


def open_descriptors() -> list[int]:
    """Return the numbers of all open descriptors of this process."""
    return [int(name) for name in os.listdir(FOLDER) if name.isdigit()]


def close_all_but(keep: Collection[int], *, inherited: Collection[int] = ()) -> None:
    """Close descriptors in a child whose old Python objects live on, unused.

    Args:
        inherited: Descriptors that belong to the application: its files stay open, its sockets become
            `/dev/null`, so that their numbers are not given to something new which the sockets'
            objects would then close.
    """
    for number in open_descriptors():
        if number not in keep and number not in inherited:
            with contextlib.suppress(OSError):  # the one that listed the folder
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
