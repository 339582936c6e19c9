"""A PostgreSQL connection that does not wait for ever.

The server's own timeouts say nothing when it is the server that stands still, and psycopg has none; PyMySQL has.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from forktask import clock


def patient_connection(psycopg: Any, seconds: float) -> Any:
    """Return a class of connections that give up when the server has not answered one request for `seconds`.

    `wait` is where psycopg waits for all that it does; every tenth of a second it asks its generator, and so this one,
    whether to go on.
    """

    class PatientConnection(psycopg.Connection):  # type: ignore[misc]  # psycopg is not installed everywhere
        """Closed after it gave up, as the answer may still come."""

        def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **named: Any) -> Any:
            return super().wait(self._limited(gen), *arguments, **named)

        def _limited(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            give_up = clock.monotonic() + seconds
            ready = None
            try:
                while True:
                    ready = yield gen.send(ready)
                    if not ready and clock.monotonic() > give_up:
                        self.close()
                        raise psycopg.OperationalError(f"the server did not answer for {seconds:g} s")
            except StopIteration as end:
                return end.value

    return PatientConnection
