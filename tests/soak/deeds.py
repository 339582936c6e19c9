"""What the soak itself did: by this it judges whether an end that a row tells can be true."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from tests.soak.processes import Process


class Deeds:
    """Kept before each deed is done, so that no end comes before its reason.

    Attributes:
        signals: Which signals each process was sent.
        orders: What was asked for of each status, by its id.
        counts: How often each deed was done, for the summary.
        disturbances: How many deeds are under way that excuse lateness: a database away, a process stopped.
        outages: How many deeds may have cost an order that is in the memory of one process alone.
    """

    def __init__(self) -> None:
        self.signals: dict[Process, set[int]] = defaultdict(set)
        self.orders: dict[str, set[str]] = defaultdict(set)
        self.told: dict[str, list[str]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.disturbances = 0
        self.disturbed_at = float("-inf")
        self.outages = 0
        self._lock = threading.Lock()
        self._begin = time.monotonic()

    def count(self, deed: str) -> None:
        """Note that something was done."""
        with self._lock:
            self.counts[deed] += 1

    def order(self, status_id: str, verb: str) -> None:
        """Note what a person asked for."""
        self.orders[status_id].add(verb)
        self.tell(status_id, verb)

    def signal(self, process: Process, number: int) -> None:
        """Note a signal."""
        self.signals[process].add(number)
        self.tell(str(process.pid), f"signal {number}")

    def tell(self, about: str, what: str) -> None:
        """Keep a line of the history of a status or a process."""
        self.told[about].append(f"{time.monotonic() - self._begin:.2f} {what}")

    def sent(self, process: Process | None, number: int) -> bool:
        """Return True if the process was sent this signal."""
        return process is not None and number in self.signals.get(process, ())

    @contextmanager
    def disturbing(self) -> Iterator[None]:
        """Stop the clock of patience meanwhile."""
        with self._lock:
            self.disturbances += 1
        try:
            yield
        finally:
            with self._lock:
                self.disturbances -= 1
                self.disturbed_at = time.monotonic()

    def disturbed_since(self, moment: float) -> bool:
        """Return True if something was under way at that time of the monotonic clock, or later."""
        return self.disturbances > 0 or self.disturbed_at >= moment
