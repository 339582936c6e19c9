"""The supervisor's side of its socket: web processes that order, steer and wait.

Messages are JSON lists, one a packet: `["start", id, task, arguments]`, `["look", id]` (something was
asked for in the row: see at once), `["due", module]` (a row waits in a queue), `["tell", end]` (the application is to
hear of it, see `hooks.described`), `["watch", id]`. A watch is answered by `["watching", supervisor id]` at once and by
`["ended", id]` at the end.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID

log = logging.getLogger("forktask.supervisor")

PACKET_LIMIT = 256 * 1024
PACKETS_AT_ONCE = 64
REMEMBERED_ENDS = 4096
"""So that a watch that comes just after the end is answered."""


class Clients:
    """The listening socket and the connections to web processes."""

    def __init__(
        self, selector: selectors.BaseSelector, supervisor_id: UUID, take: Callable[[list[Any]], None]
    ) -> None:
        self.selector = selector
        self.supervisor_id = supervisor_id
        self.take = take
        self.listener: socket.socket | None = None
        self.connected: set[socket.socket] = set()
        self._watchers: dict[str, set[socket.socket]] = {}
        self._ended: deque[str] = deque(maxlen=REMEMBERED_ENDS)

    def listen(self, listener: socket.socket) -> None:
        """Serve everybody who connects."""
        listener.setblocking(False)
        self.listener = listener
        self.selector.register(listener, selectors.EVENT_READ, self.accept)

    def add(self, client: socket.socket) -> None:
        """Serve one connection."""
        client.setblocking(False)
        self.connected.add(client)
        self.selector.register(client, selectors.EVENT_READ, lambda: self._read(client))

    def accept(self) -> bool:
        """Take all who wait to be connected; return True if there were any."""
        assert self.listener is not None
        found = False
        while True:
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return found
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                return found
            if peer_uid(client) != os.geteuid():
                client.close()
                continue
            self.add(client)
            found = True

    def _read(self, client: socket.socket) -> None:
        for _ in range(PACKETS_AT_ONCE):
            try:
                data = client.recv(PACKET_LIMIT)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._drop(client)
                return
            self._message(client, data)

    def _message(self, client: socket.socket, data: bytes) -> None:
        try:
            message = json.loads(data)
            if message[0] == "watch":
                self._watch(client, str(message[1]))
            else:
                self.take(message)
        except Exception:  # one bad order must not end the supervisor
            log.exception("cannot take an order of %d bytes", len(data))

    def _watch(self, client: socket.socket, status_id: str) -> None:
        self._tell(client, ["watching", str(self.supervisor_id)])
        if status_id in self._ended:
            self._tell(client, ["ended", status_id])
        else:
            self._watchers.setdefault(status_id, set()).add(client)

    def ended(self, status_id: str) -> None:
        """Wake everybody who waits for this status."""
        self._ended.append(status_id)
        for client in self._watchers.pop(status_id, ()):
            self._tell(client, ["ended", status_id])

    def _tell(self, client: socket.socket, message: list[str]) -> None:
        try:
            client.send(json.dumps(message).encode(), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            return  # it has left, or looks at the table itself

    def _drop(self, client: socket.socket) -> None:
        self.selector.unregister(client)
        self.connected.discard(client)
        for status_id in [key for key, clients in self._watchers.items() if client in clients]:
            self._watchers[status_id].discard(client)
            if not self._watchers[status_id]:
                del self._watchers[status_id]
        client.close()

    def finish(self) -> None:
        """Take what was sent so far, from those too who wait to be connected, and nothing more; then close."""
        if self.listener is not None:
            self.accept()
        for client in list(self.connected):
            try:
                client.shutdown(socket.SHUT_RD)  # whoever sends from now on learns it, and asks another supervisor
            except OSError:
                self._drop(client)
            while client in self.connected:
                self._read(client)
        self.close()

    def close(self) -> None:
        """Close everything."""
        for client in list(self.connected):
            self._drop(client)
        if self.listener is not None:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None


def peer_uid(sock: socket.socket) -> int:
    """Return who called `connect()` or `listen()` on the other side; its pid proves nothing (unix(7))."""
    if not hasattr(socket, "SO_PEERCRED"):
        return os.geteuid()
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
