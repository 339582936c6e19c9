"""What every order needs first, done once ahead: each page that a runner was born with is copied when it is written.

The copies stay its own as long as it lives: so nothing is rehearsed that it may never need.
"""

from __future__ import annotations

import json
from uuid import UUID

from forktask.live import LiveStatus
from forktask.progress import Page

ORDER = json.dumps({"id": str(UUID(int=0)), "task": "", "settings": {}, "attempt": 1, "checkpoint": None}).encode()

OFTEN = 50
"""After some dozen runs Python writes no more into the code that it runs."""


def learn() -> None:
    """Do it until Python knows it by heart: so that a copy of this process writes less."""
    for _ in range(OFTEN):
        rehearse()


def rehearse() -> None:
    """Take in an order and report, of a task that does not exist; in a runner that waits."""
    order = json.loads(ORDER)
    live = LiveStatus(
        page=Page.anonymous(), send=lambda word, value: None, status_id=UUID(order["id"]), settings=order["settings"]
    )
    live.update(0.0, "")
