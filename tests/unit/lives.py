"""A live status whose reports and words a test can look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

from forktask.live import LiveStatus
from forktask.progress import Page, Report


class Watched:
    """A live status, what it reported and what it sent."""

    def __init__(
        self, settings: Any = None, on_progress: Callable[[Report], None] | None = None, *, phases: Sequence[str] = ()
    ) -> None:
        self.page = Page.anonymous()
        self.reports: list[Report] = []
        self.sent: list[tuple[str, Any]] = []
        self.status = LiveStatus(
            page=self.page,
            send=lambda word, value: self.sent.append((word, value)),
            status_id=uuid4(),
            settings=settings,
            phases=phases,
            on_progress=on_progress or self.reports.append,
        )

    @property
    def report(self) -> Report:
        """What the supervisor would read now."""
        found = self.page.read()
        assert found is not None
        return found[1]


def work(seconds: float) -> None:
    """Keep the processor busy, as a slow item of a loop does."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass
