"""The order in which tasks are left to a queue that is to be emptied."""

from __future__ import annotations

from collections.abc import Callable


def in_order(address: str, count: int, tell: Callable[[str], object], idle: Callable[[], object]) -> None:
    """Leave so many, one after the other: one after the first tenth and the last one tell when they run."""
    for number in range(count):
        if number in (count // 10, count - 1):
            tell(address)
        else:
            idle()
