"""Waiting for the end of a status: woken by its supervisor, else by looks at the table."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing

from forktask import clock
from forktask.rows import StatusRow
from forktask.start.doorbell import Doorbell
from forktask.states import FINAL, UNDER_WAY, StartMethod

LOOK_INTERVAL = 1.0
"""Seconds between looks at the table while the supervisor that will wake us lives."""
SHORT_INTERVAL = 0.05
"""Seconds between looks where nobody will."""
UNHEARD = (StartMethod.FORK, StartMethod.INLINE)
"""Start methods whose supervisor has no socket."""


def wait_for(look: Callable[[], StatusRow], timeout: float | None, doorbell: Doorbell) -> StatusRow:
    """Return what `look` gives when that is final, or after `timeout` seconds.

    Holds no database connection while it waits.
    """
    until = None if timeout is None else clock.monotonic() + timeout
    row = look()
    if row.state in FINAL or (timeout is not None and timeout <= 0):
        return row
    with closing(_Word(None if row.start_method in UNHEARD else doorbell.watch(str(row.id)))) as word:
        while True:
            row = look()
            rest = None if until is None else until - clock.monotonic()
            if row.state in FINAL or (rest is not None and rest <= 0):
                return row
            word.wait_for_it(row, rest)


class _Word:
    """The connection over which the supervisor says that a status has ended."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.connection = connection
        self.supervisor_id: str | None = None

    def wait_for_it(self, row: StatusRow, rest: float | None) -> None:
        """Return when the supervisor says something, or when it is time to look again."""
        if row.state in UNDER_WAY and self.supervisor_id not in (None, str(row.supervisor_id)):
            self.close()  # it runs under another supervisor, which does not know that we wait
        interval = LOOK_INTERVAL if self.connection is not None else SHORT_INTERVAL
        patience = interval if rest is None else min(interval, rest)
        if self.connection is None:
            clock.sleep(patience)
        else:
            self._hear(self.connection, patience)

    def _hear(self, connection: socket.socket, patience: float) -> None:
        try:
            connection.settimeout(patience)  # its wait takes any descriptor; select() takes those below 1024 only
            message = json.loads(connection.recv(4096) or "null")
        except TimeoutError:
            return
        except (OSError, ValueError):
            message = None
        if message is None:
            self.close()
        elif message[0] == "watching":
            self.supervisor_id = message[1]

    def close(self) -> None:
        """Stop listening."""
        if self.connection is not None:
            self.connection.close()
        self.connection = None
