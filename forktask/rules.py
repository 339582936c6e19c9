"""What a task says of its place in a queue, and of each call: one at a time, small ones at once, gone when done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from forktask.limit import Limit

UniqueUntil = Literal["final", "started"]
OnConflict = Literal["join", "refuse", "replace"]


def _check_choice(name: str, given: object, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ValueError(f"{name} is {given!r}; it is {' or '.join(repr(choice) for choice in choices)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of a task; each may be said again per call by `using`.

    Attributes:
        unique: At most one lives with the same `settings`, of the same `owner`, or with this key (any other text).
        unique_until: Until it is final, or only until its first attempt has started.
        on_conflict: Return the status that lives, raise `DuplicateError`, or cancel the one that lives.
        require_worker: Fail at once if no live worker serves the queue.
        inline_below: Run it here and now if its `size` is below this.
        delete_on_completion: Delete the row when it has completed.
        limit: How many run at once, and how many begin in a time.
    """

    unique: str | None = None
    unique_until: UniqueUntil = "final"
    on_conflict: OnConflict = "join"
    require_worker: bool = False
    inline_below: float | None = None
    delete_on_completion: bool = False
    limit: Limit | None = None

    def __post_init__(self) -> None:
        if self.unique is not None and (type(self.unique) is not str or not self.unique):
            raise ValueError(f"unique is {self.unique!r}; it is 'settings', 'owner' or any other text, a key")
        _check_choice("unique_until", self.unique_until, ("final", "started"))
        _check_choice("on_conflict", self.on_conflict, ("join", "refuse", "replace"))
        for name in ("require_worker", "delete_on_completion"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it is True or False")
        if self.inline_below is not None and type(self.inline_below) not in (int, float):
            raise ValueError(f"inline_below is {self.inline_below!r}; it is a number or None")
        if not isinstance(self.limit, Limit | None):
            raise ValueError(f"limit is {self.limit!r}; it is a Limit or None")

    def key(self, task: str, settings: Any, owner: str | None) -> str | None:
        """Return what no two living rows have in common, as a hash; None: it is not unique.

        Args:
            settings: As JSON gives them back.
        """
        if self.unique is None:
            return None
        kind = self.unique if self.unique in ("settings", "owner") else "key"
        value = {"settings": settings, "owner": owner, "key": self.unique}[kind]
        text = json.dumps([task, kind, value], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


RULES: Final = tuple(field.name for field in fields(Rules))
NO_RULES: Final = Rules()
