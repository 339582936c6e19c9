"""The clock of the first line: any process tells it, and its pid, over a datagram."""

from __future__ import annotations

import os
import select
import socket
import struct
import time

_MOMENT = struct.Struct("=dq")
PATIENCE = 120.0


def tell(address: str) -> None:
    """Say when this line ran; the machine's processes share the monotonic clock."""
    moment = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(_MOMENT.pack(moment, os.getpid()), address)


def nothing() -> None:
    """Do nothing at all."""


def tell_and_sleep(address: str) -> None:
    """Say that this line ran, then sleep until the process is killed."""
    tell(address)
    time.sleep(600)


class Ear:
    """Hears what `tell` says."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.pid = 0
        """Who told it."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)

    def hear(self) -> float:
        """Return the next moment that is told."""
        if not select.select((self._socket,), (), (), PATIENCE)[0]:
            raise TimeoutError("nobody told the clock of the first line")
        moment, self.pid = _MOMENT.unpack(self._socket.recv(64))
        return float(moment)

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
