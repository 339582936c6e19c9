"""Ports on the loopback interface that are ours while nothing listens there."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager


def bound(port: int) -> socket.socket:
    """Return a socket on this port, 0 for any, that does not listen yet.

    Several may be bound to one port, and one of them listen. While one is, nobody who asks for any port gets this
    one, and no connection to it can come to be from it (which Linux allows: a caller that tries again and again
    while nobody listens will in the end reach itself).
    """
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", port))
    return found


@contextmanager
def claimed_port() -> Iterator[int]:
    """Yield a port that nobody else is given."""
    with bound(0) as claim:
        port: int = claim.getsockname()[1]
        yield port
