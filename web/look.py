"""How one widget looks: said by the template that shows it, carried in its signed token to the polls."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypedDict


class LookOptions(TypedDict, total=False):
    """What `forktask_progress(status, …)` takes."""

    compact: bool
    """One line and the bar."""
    message: bool
    """False hides what the task says."""
    time: bool
    """False hides the time left."""
    steps: bool
    """False hides the steps."""
    buttons: bool
    """False hides the buttons, and its address then lets nobody cancel, pause or retry."""
    interval: float
    """Seconds between polls of a young task, instead of `FORKTASK_POLL_INTERVAL`."""
    texts: Mapping[str, str]
    """The English text → what to show in its place."""
    template: str
    """A template of the application instead of `forktask/progress.html`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The options of one widget."""

    compact: bool = False
    message: bool = True
    time: bool = True
    steps: bool = True
    buttons: bool = True
    interval: float | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    template: str = "forktask/progress.html"

    @property
    def hidden(self) -> tuple[str, ...]:
        """What is not shown of a status."""
        return tuple(name for name in ("message", "time", "steps") if not getattr(self, name))

    def pack(self) -> bytes:
        """Return what differs from the usual, for a token."""
        own = {item.name: value for item in fields(self) if (value := getattr(self, item.name)) != _USUAL[item.name]}
        return json.dumps(own, separators=(",", ":"), ensure_ascii=False).encode() if own else b""


_USUAL: dict[str, Any] = {item.name: getattr(Look(), item.name) for item in fields(Look)}


@lru_cache(maxsize=1000)
def unpack(packed: bytes) -> Look:
    """Return the options of a token of ours; of another version those that there are."""
    if not packed:
        return Look()
    return Look(**{name: value for name, value in json.loads(packed).items() if name in _USUAL})


def look_of(options: LookOptions) -> Look:
    """Return the options if they are right.

    Raises:
        TypeError: Naming those that there are not.
        ValueError: The interval is no time.
    """
    if unknown := sorted(set(options) - set(LookOptions.__annotations__)):
        raise TypeError(
            f"forktask_progress() does not take {', '.join(unknown)}; it takes {', '.join(LookOptions.__annotations__)}"
        )
    interval = options.get("interval")
    if interval is not None and not interval > 0:
        raise ValueError(f"interval is {interval!r}; it is a number of seconds above 0")
    return Look(**options)
