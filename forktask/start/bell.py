"""The bell of a worker: whoever leaves a row to one of its queues has it look at once.

On its host that is a socket; from other hosts PostgreSQL passes it on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from uuid import UUID

from forktask import clock, host
from forktask.errors import LaunchError, StoreError
from forktask.process import is_here
from forktask.proof import Witness, identity_of
from forktask.queuename import ALL_QUEUES
from forktask.rows import SupervisorRow

log = logging.getLogger("forktask.start")

KNOWN_FOR = 1.0
"""Seconds for which a process takes for true who serves which queue."""


def bell_name(worker_id: UUID) -> str:
    """Return the name of a worker's bell in the private directory; with a dot, as no supervisor's has."""
    return f"bell.{worker_id.hex}"


class Bell:
    """The worker's end: readable when somebody rang."""

    def __init__(self, directory: host.PrivateDirectory, worker_id: UUID) -> None:
        self._directory = directory
        self._name = bell_name(worker_id)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(directory.socket_address(self._name))

    def silence(self) -> None:
        """Forget how often it rang."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.socket.recv(16)

    def close(self) -> None:
        """Take it down."""
        self.socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._directory.fileno())


def clear_bell(runtime_dir: str, worker_id: UUID) -> None:
    """Take down the bell that a killed worker of this host left."""
    with contextlib.suppress(OSError, LaunchError), host.private_directory(runtime_dir) as directory:
        os.unlink(bell_name(worker_id), dir_fd=directory.fileno())


class Workers:
    """Who serves the queues of a database, as one process that leaves rows to them knows it."""

    def __init__(self, witness: Witness, runtime_dir: str) -> None:
        self._witness = witness
        self._runtime_dir = runtime_dir
        self._serving: list[SupervisorRow] = []
        self._known_until = 0.0

    def serve(self, queue: str, task: str) -> bool:
        """Return True if somebody takes this task from this queue, here or elsewhere; else it is looked anew."""
        if not any(row.serves(queue, task) for row in self._current()):
            self._known_until = 0.0
        return any(row.serves(queue, task) for row in self._current())

    def wake(self, queue: str, task: str) -> bool:
        """Have those look that take a task from a queue; return False if nobody does, here or elsewhere."""
        for _ in range(2):  # who has gone, or was told to end, is asked for once more
            serving = [row for row in self._current() if row.serves(queue, task)]
            here = [row for row in serving if is_here(identity_of(row))]
            rung = [self._ring(row) for row in here]
            if all(rung):
                break
        if not all(rung) or len(here) < len(serving):
            self._notify(queue)
        return bool(serving)

    def wake_all(self) -> None:
        """Have all workers on all hosts look."""
        self._ring_all(self._witness.serving())

    def ring_others(self, me: UUID) -> None:
        """Have all other workers on all hosts look."""
        self._ring_all([row for row in self._current() if row.id != me])

    def _ring_all(self, workers: Sequence[SupervisorRow]) -> None:
        rung = [is_here(identity_of(row)) and self._ring(row) for row in workers]
        if not all(rung):
            self._notify(ALL_QUEUES)

    def _notify(self, queue: str) -> None:
        try:
            self._witness.store.notify(queue)
        except StoreError as error:  # they look by themselves, if later
            log.warning("queue=%s: %s", queue, error)

    def runners(self, queue: str) -> int:
        """Return how many tasks of a queue those who serve it run at once; 0: nobody serves it."""
        return sum(row.processes or 0 for row in self._current() if row.serves(queue, None))

    def _current(self) -> list[SupervisorRow]:
        if clock.monotonic() >= self._known_until:
            self._serving = self._witness.serving()
            self._known_until = clock.monotonic() + KNOWN_FOR
        return self._serving

    def _ring(self, row: SupervisorRow) -> bool:
        """Return False if it has no bell: it looks at the table by itself, if it is there."""
        kind = (socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            with host.private_directory(self._runtime_dir) as directory, socket.socket(*kind) as sender:
                sender.setblocking(False)
                sender.sendto(b"!", directory.socket_address(bell_name(row.id)))
        except BlockingIOError:
            return True  # it has not yet come to what rang before
        except (OSError, LaunchError):
            self._known_until = 0.0
            return False
        return True
