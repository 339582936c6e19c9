"""What a queue may be called, in code, in a recurring task and on the command line."""

from __future__ import annotations

from typing import Final

ALL_QUEUES: Final = "*"
"""Stands for all queues of all workers."""
QUEUE_LIMIT: Final = 100
QUEUE_RULE: Final = f"it has 1 to {QUEUE_LIMIT} printable characters without a colon, and is not {ALL_QUEUES}"


def is_queue(name: object) -> bool:
    """Return True if a queue may have this name; see `QUEUE_RULE`."""
    if not isinstance(name, str) or not name.isprintable() or ":" in name:
        return False
    return 0 < len(name) <= QUEUE_LIMIT and name != ALL_QUEUES
