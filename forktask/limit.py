"""How many of a task run at once, and how many of it begin in a time; what waits for that is counted by a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from forktask.errors import SettingsError

NAME_LIMIT: Final = 100
"""Most characters of the name of a limit; of longer ones a part is replaced by a hash."""
MOST_A_SECOND: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How many run at once, and how many begin in a time, on all hosts together.

    Attributes:
        running: Most that run at once; paused ones count.
        rate: Most that begin within `per`; they are spread evenly: with 10 in 60 seconds one begins each 6 seconds.
        per: Seconds.
        key: What is counted together. None: all runs of the task. `owner`: those of each owner, without a login of each
            browser. `settings.customer`: those with the same `settings["customer"]`. A function of the settings: those
            for which it returns the same text. Any other text: all that have this key, of whatever tasks.
    """

    running: int | None = None
    rate: int | None = None
    per: float = 60.0
    key: str | Callable[[Any], str] | None = None

    def __post_init__(self) -> None:
        for name in ("running", "rate"):
            given = getattr(self, name)
            if given is not None and (type(given) is not int or given < 1):
                raise ValueError(f"Limit: {name} is {given!r}; it is a whole number above 0, or None")
        if self.running is None and self.rate is None:
            raise ValueError("Limit: say running, or rate and per, or both")
        if type(self.per) not in (int, float) or not 0 < self.per < 1e9:
            raise ValueError(f"Limit: per is {self.per!r}; it is a number of seconds above 0")
        if self.rate is not None and self.rate > self.per * MOST_A_SECOND:
            raise ValueError(f"Limit: rate is {self.rate}; at most {MOST_A_SECOND} a second can be told apart")
        if not (self.key is None or callable(self.key) or _is_key(self.key)):
            raise ValueError(f"Limit: key is {self.key!r}; it is 1 to {NAME_LIMIT} printable characters, or a function")

    def name(self, task: str, settings: Any, owner: str | None) -> str:
        """Return by what name a run is counted.

        Args:
            settings: As JSON gives them back.

        Raises:
            SettingsError: What the key asks for is not there.
        """
        if self.key is None:
            return _short(task)
        if callable(self.key):
            return _short(f"{task} {_text(self.key(settings))}")
        if self.key == "owner":
            if owner is None:
                raise SettingsError("owner", "is missing: the task has a limit for each owner, so say whose it is")
            return _short(f"{task} {_text(owner)}")
        head, _, path = self.key.partition(".")
        if head == "settings" and path:
            return _short(f"{task} {json.dumps(_found(settings, path), sort_keys=True)}")
        return self.key


class LimitRow(NamedTuple):
    """How many may run at once and begin in a time, under one name or in one queue."""

    name: str
    running: int | None
    rate: int | None
    per: float | None
    next_at: datetime | None

    @property
    def is_limit(self) -> bool:
        """True if anything is limited."""
        return self.running is not None or self.rate is not None

    @property
    def interval(self) -> float:
        """Least seconds between two that begin: they are spread evenly over the period."""
        return self.per / self.rate if self.rate is not None and self.per is not None else 0.0


class QueueRow(NamedTuple):
    """What was said of a queue."""

    name: str
    paused_at: datetime | None
    running: int | None
    rate: int | None
    per: float | None
    next_at: datetime | None

    @property
    def limit(self) -> LimitRow | None:
        """Its limit, if it has one."""
        found = LimitRow(self.name, self.running, self.rate, self.per, self.next_at)
        return found if found.is_limit else None


class Room(NamedTuple):
    """How much may begin now under one limit."""

    places: int
    opens_in: float | None
    """Seconds until one more may begin, where only the rate keeps it; None: nobody knows, or now."""


def said_of(limit: Limit | None) -> dict[str, Any]:
    """Return what stands of it in a table."""
    if limit is None:
        return {"running": None, "rate": None, "per": None}
    return {"running": limit.running, "rate": limit.rate, "per": limit.per if limit.rate is not None else None}


def _is_key(key: object) -> bool:
    return isinstance(key, str) and key.isprintable() and 0 < len(key) <= NAME_LIMIT


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise SettingsError("limit.key", f"is {given!r}; the function that gives it returns text")
    return json.dumps(given)


def _found(settings: Any, path: str) -> Any:
    value = settings
    for part in path.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise SettingsError(f"settings.{path}", "is missing: the task has a limit for each value of it")
        value = value[part]
    return value


def _short(name: str) -> str:
    if len(name) <= NAME_LIMIT and name.isascii():
        return name
    return f"{name[:40].encode('ascii', 'replace').decode()} {hashlib.sha256(name.encode()).hexdigest()[:40]}"
