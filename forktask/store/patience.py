"""How long a database is waited for, and a PostgreSQL connection that keeps to it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from forktask import clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one step may take, in seconds."""

    busy: float
    """Waiting for a lock."""
    connect: int
    statement: int


SUPERVISOR_TIMEOUTS: Final = Timeouts(busy=0.05, connect=2, statement=2)
"""Nothing else in the supervisor's loop waits; it comes again."""
TIMEOUTS: Final = Timeouts(busy=5.0, connect=5, statement=10)


def patient_connection(psycopg: Any, seconds: float) -> Any:
    """Return a class of connections that give up when the server has not answered one request for `seconds`.

    Its own timeouts say nothing when it is the server that stands still, and psycopg has none; PyMySQL has.
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
