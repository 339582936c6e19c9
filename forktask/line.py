"""Where a row waits: its line, and in it its lane; owners take turns."""

from __future__ import annotations

import hashlib


def line_of(queue: str | None, limit_name: str | None) -> str | None:
    """Return the line in which a row waits; None: it was initiated, and has no limit.

    What has a limit waits in a line of its own, so that nobody else has to pass it: no queue has a colon in its name.
    """
    return queue if limit_name is None else f":{limit_name}"


def lane_of(owner: str | None) -> str:
    """Return what takes turns in a line: the rows of one owner, or those of nobody."""
    return "" if owner is None else hashlib.sha256(owner.encode()).hexdigest()[:16]
