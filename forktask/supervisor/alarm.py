"""What wakes a worker that rests: its bell on this host, and what the database passes on from others."""

from __future__ import annotations

import logging
import selectors
from collections.abc import Callable, Collection
from typing import Final
from uuid import UUID

from forktask import clock, host
from forktask.errors import LaunchError, StoreError
from forktask.queuename import ALL_QUEUES
from forktask.start.bell import Bell
from forktask.store import Listener, Store

log = logging.getLogger("forktask.worker")

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds before the next attempt to listen, which may hold up the loop while the server does not answer."""


class Alarm:
    """Rings when somebody leaves a row to one of our queues, on any host as far as the database can say so.

    Args:
        queues: Ours.
        ring: Called each time.
    """

    def __init__(
        self, selector: selectors.BaseSelector, store: Store, queues: Collection[str], ring: Callable[[], None]
    ) -> None:
        self.selector = selector
        self.store = store
        self.queues = {*queues, ALL_QUEUES}
        self.ring = ring
        self._bell: Bell | None = None
        self._listener: Listener | None = None
        self._is_needed = True
        self._listen_at = 0.0
        self._pause = FIRST_PAUSE

    def hang_bell(self, runtime_dir: str, worker_id: UUID) -> None:
        """Let others on this host ring."""
        try:
            self._bell = Bell(host.private_directory(runtime_dir), worker_id)
        except (OSError, LaunchError) as error:
            log.warning("nobody can ring: %s", error)
            return
        self.selector.register(self._bell.socket, selectors.EVENT_READ, self._rung)

    def listen(self) -> None:
        """See to it that the database can reach us; again after the connection was lost."""
        if self._listener is not None or not self._is_needed or clock.monotonic() < self._listen_at:
            return
        try:
            self._listener = self.store.listen()
        except StoreError as error:
            log.warning("does not hear other hosts: %s", error)
            self._listen_at = clock.monotonic() + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            return
        self._is_needed = self._listener is not None
        if self._listener is not None:
            self._pause = FIRST_PAUSE
            self.selector.register(self._listener.fileno(), selectors.EVENT_READ, self._heard)
            self.ring()  # what was said meanwhile
            log.info("hears other hosts")

    def take_down(self) -> None:
        """Let nobody ring any more."""
        self._is_needed = False
        self._stop_listening()
        if self._bell is not None:
            self.selector.unregister(self._bell.socket)
            self._bell.close()
            self._bell = None

    def _rung(self) -> None:
        if self._bell is not None:
            self._bell.silence()
            self.ring()

    def _heard(self) -> None:
        if self._listener is None:
            return
        try:
            queues = self._listener.heard()
        except StoreError as error:
            self._stop_listening()
            log.warning("does not hear other hosts any more: %s", error)
            return
        if not queues.isdisjoint(self.queues):
            self.ring()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self.selector.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None
