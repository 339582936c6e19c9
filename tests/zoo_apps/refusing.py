"""The zoo where a kept runner cannot be given large orders, or none at all."""

from __future__ import annotations

import errno
import os
import socket

from forktask import kept
from tests import zoo

__all__ = ["zoo"]

put = kept.put


def refuse_large(box: socket.socket, data: bytes) -> None:
    """Put in what is small."""
    if len(data) > kept.LARGE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    put(box, data)


def die(sock: socket.socket) -> socket.socket:
    """End the runner before it takes anything."""
    os._exit(0)


if os.environ.get("REFUSES") == "large":
    kept.put = refuse_large
elif os.environ.get("REFUSES") == "all":
    kept.receive_box = die
