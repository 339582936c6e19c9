"""JSON messages between a supervisor and one runner, over a stream socket, each with its length before it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("=I")
MESSAGE_LIMIT = 16 * 1024 * 1024
"""A longer message is no message of ours."""
READ_SIZE = 256 * 1024


def send(sock: socket.socket, message: Any) -> None:
    """Send one message; waits while the other side does not read."""
    data = json.dumps(message).encode()
    sock.sendall(HEAD.pack(len(data)) + data)


def receive(sock: socket.socket) -> Any | None:
    """Return the next message; None when the other side has closed. Waits."""
    head = _receive_exactly(sock, HEAD.size)
    if head is None:
        return None
    data = _receive_exactly(sock, HEAD.unpack(head)[0])
    return None if data is None else json.loads(data)


def _receive_exactly(sock: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(min(READ_SIZE, size - len(data)))
        if not piece:
            return None
        data += piece
    return bytes(data)


class Channel:
    """The supervisor's end: never waits in either direction."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.closed = False
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, as selectors want it."""
        return self.sock.fileno()

    @property
    def has_unsent(self) -> bool:
        """True while something waits until the runner reads."""
        return bool(self._out)

    def post(self, message: Any) -> None:
        """Send a message, now or with later calls of `flush`."""
        data = json.dumps(message).encode()
        self._out += HEAD.pack(len(data)) + data
        self.flush()

    def flush(self) -> None:
        """Send what can be sent without waiting."""
        try:
            while self._out:
                del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            return
        except OSError:
            self._out.clear()  # the runner is gone; its end is told by its wait

    def messages(self) -> list[Any]:
        """Return the whole messages that have come, None for what is no JSON; `closed` is True when no more will."""
        while not self.closed:
            try:
                piece = self.sock.recv(READ_SIZE)
            except BlockingIOError:
                break
            except OSError:
                piece = b""
            self.closed = not piece
            self._in += piece
        return self._take_whole()

    def _take_whole(self) -> list[Any]:
        found, begin, end = [], 0, len(self._in)
        while end - begin >= HEAD.size:
            size = HEAD.unpack_from(self._in, begin)[0]
            if size > MESSAGE_LIMIT:
                self.closed = True
                begin = end
                break
            if end - begin < HEAD.size + size:
                break
            begin += HEAD.size + size
            found.append(_loaded(self._in[begin - size : begin]))
        del self._in[:begin]
        return found

    def hang_up(self) -> None:
        """Say that nothing more will come; the descriptor stays ours, so that no other takes its number."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket."""
        self.closed = True
        self.sock.close()


def _loaded(data: bytearray) -> Any:
    try:
        return json.loads(data.decode())
    except ValueError:
        return None
