"""Which statuses an operator means: by state, task, queue, owner and age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from forktask.states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What has to be true of each status; empty or None: anything.

    Attributes:
        since: It was ordered at this time or later.
        finished_before: It became final before this time.
        finished_since: It became final at this time or later.
    """

    states: frozenset[State] = frozenset()
    task: str | None = None
    queue: str | None = None
    owner: str | None = None
    since: datetime | None = None
    finished_before: datetime | None = None
    finished_since: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """True if it means all there is."""
        return self == Selection()


EVERYTHING = Selection()


def first_id_at(moment: datetime) -> UUID:
    """Return the least id that a status ordered at this time or later has: ids are ordered by time."""
    milliseconds = max(0, round((moment - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000))
    return UUID(int=min(milliseconds, (1 << 48) - 1) << 80)


def range_of_prefix(text: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin with these digits; None: no id does."""
    digits = text.strip().lower().replace("-", "")
    if not 1 <= len(digits) <= 32 or not all(digit in "0123456789abcdef" for digit in digits):
        return None
    return UUID(hex=digits.ljust(32, "0")), UUID(hex=digits.ljust(32, "f"))
