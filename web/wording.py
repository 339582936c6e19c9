"""What a person reads about a status: its row in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from forktask import State, TaskStatus

LONGEST = 300
"""Characters of a text that are shown; the row keeps all."""
LONGEST_TITLE = 100
MOST_WARNINGS = 20
"""Warnings that are listed; the rest is counted."""
SHORT_WAIT = 3.0
"""Seconds after which a waiting task waits for a free place, not for its start."""
NARROW_SPACE = "\u202f"

# Controls and the overrides of Unicode's bidirectional algorithm (UAX 9): they show nothing, and turn text round.
INVISIBLE = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Everything that a template shows of a status, as text; empty where there is nothing to say."""

    id: UUID
    state: State
    look: str
    """The state, or `waiting` or `cancelling`: picks icon and colour."""
    title: str
    headline: str
    """Empty where the message says it all."""
    figure: str
    """The share as it is read: `62%`."""
    share: str | None
    """0 to 100 for the bar, to a tenth; None: nobody knows."""
    count: str
    """`124 000 of 200 000 rows`."""
    message: str
    problem: str
    advice: str
    reference: str
    warnings: tuple[str, ...]
    more_warnings: int
    """How many are not in `warnings`."""

    @property
    def is_final(self) -> bool:
        """True if nothing more will happen by itself."""
        return self.state.is_final

    @property
    def spoken(self) -> str:
        """What a screen reader is told at a milestone."""
        first = f"{self.title}: {self.headline or self.message}"
        return ", ".join(text for text in (first, self.figure or self.count, self.problem) if text)


def describe(status: TaskStatus, now: datetime) -> Wording:
    """Return what a person reads about `status` at `now`."""
    warnings = status.warnings or []
    state, look = status.state, _look(status)
    failed = state in (State.FAILED, State.LOST)
    unknown_total = status.done is not None and status.total is None
    message = "" if failed or state is State.QUEUED else clean(status.message or "")
    share = None if unknown_total and not state.is_final else _share(status)
    return Wording(
        id=status.id,
        state=state,
        look=look,
        title=clean(status.title or status.task, LONGEST_TITLE),
        headline="" if message and look == "running" else _headline(status, now),
        figure="" if share is None or failed or state is State.QUEUED else f"{math.floor(share)}%",
        share=None if share is None else f"{share:.4g}",
        count=_count(status),
        message=message,
        problem=_problem(status) if failed else "",
        advice=_advice(status),
        reference=status.reference or "" if failed else "",
        warnings=tuple(clean(str(text)) for text in warnings[:MOST_WARNINGS]),
        more_warnings=max(0, len(warnings) - MOST_WARNINGS),
    )


def clean(text: str, longest: int = LONGEST) -> str:
    """Return `text` without controls, cut to a length that fits a page."""
    text = text[: longest + 1].translate(INVISIBLE).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def number(value: int) -> str:
    """Return a whole number as it is read: `1 234` with narrow no-break spaces (ISO 80000-1, 7.3.1)."""
    return f"{value:,}".replace(",", NARROW_SPACE)


def _look(status: TaskStatus) -> str:
    if status.state.is_final or status.cancel_requested_at is None:
        return "waiting" if status.state is State.QUEUED else status.state.value
    return "cancelling"


def _headline(status: TaskStatus, now: datetime) -> str:
    state = status.state
    if not state.is_final and status.cancel_requested_at is not None:
        return "Cancelling…"
    if state is State.QUEUED:
        return _waiting(status, now)
    return {
        State.RUNNING: "Running",
        State.PAUSED: "Paused",
        State.COMPLETED: "Done",
        State.FAILED: "Failed",
        State.CANCELLED: "Cancelled",
        State.LOST: "Lost",
    }[state]


def _waiting(status: TaskStatus, now: datetime) -> str:
    attempt = f" (attempt {status.attempt} of {status.max_attempts})" if status.attempt > 1 else ""
    seconds = 0.0 if status.run_after is None else (status.run_after - now).total_seconds()
    if seconds > 0:
        return f"{'Trying again' if attempt else 'Starts'} in {_duration(seconds)}{attempt}"
    if attempt:
        return f"Trying again{attempt}"
    since = (now - (status.run_after or status.created_at)).total_seconds()
    return "Waiting to start" if since < SHORT_WAIT else "Waiting for a free place"


def _duration(seconds: float) -> str:
    if seconds <= 90:
        return f"{math.ceil(seconds)} s"
    if seconds <= 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{round(seconds / 3600)} h"


def _share(status: TaskStatus) -> float | None:
    """Return the share for the bar: all of it only when it is done, whatever rounding says."""
    if status.state is State.COMPLETED:
        return 100.0
    return None if status.percent is None else min(max(status.percent, 0.0), 99.0)


def _count(status: TaskStatus) -> str:
    if status.done is None or status.state is State.QUEUED:
        return ""
    done = number(status.done)
    total = None if status.state is State.COMPLETED and status.total == status.done else status.total
    amount = done if total is None else f"{done} of {number(total)}"
    return f"{amount} {clean(status.unit)}" if status.unit else amount


def _problem(status: TaskStatus) -> str:
    if status.error:
        return clean(status.error)
    if status.state is State.LOST:
        return "The process that did the work is gone, and nobody could say how it ended."
    return "The task ended with an error."


def _advice(status: TaskStatus) -> str:
    if status.state is not State.LOST:
        return ""
    return "Some of the work may have been done. Look at what there is before you start it again."
