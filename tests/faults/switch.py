"""A cable to a database server that can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from tests.ports import bound


class Switch:
    """Forwards connections from a port of its own; while it is off, connections are refused and open ones reset."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._ends: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._trap: bytes | None = None
        self._arrives = True
        self._claim = bound(0)
        self.port: int = self._claim.getsockname()[1]
        self.on()

    def on(self) -> None:
        """Listen, always on the same port."""
        self._listener = listener = bound(self.port)
        listener.listen(64)
        self._run(self._accept, listener)

    def off(self) -> None:
        """Cut everything."""
        assert self._listener is not None
        _close(self._listener)
        with self._lock:
            ends, self._ends = self._ends, set()
        for end in ends:
            _close(end)
        threads, self._threads = self._threads, []
        for thread in threads:
            thread.join()

    @contextlib.contextmanager
    def broken_at(self, words: bytes, *, arrives: bool) -> Iterator[None]:
        """Break the first connection over which these words go to the server, after or before they arrive."""
        with self._lock:
            self._trap, self._arrives = words, arrives
        yield
        assert self._trap is None, f"nobody said {words!r}"

    def _springs(self, data: bytes) -> bool:
        with self._lock:
            springs = self._trap is not None and self._trap in data
            if springs:
                self._trap = None
        return springs

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self.off()
        self._claim.close()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            with self._lock:
                self._ends |= {near, far}
            self._run(self._forward, near, far)
            self._run(self._forward, far, near)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                breaks = self._springs(data)
                if not breaks or self._arrives:
                    target.sendall(data)
                if breaks:
                    break
        for end in (source, target):
            with self._lock:
                self._ends.discard(end)
            _close(end)


def _close(end: socket.socket) -> None:
    """Close at once, also for a thread that waits on it."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
