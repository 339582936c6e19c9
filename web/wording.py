"""What a person reads about a status: its row in plain words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from forktask import State, TaskStatus
from forktask.web.language import ENGLISH, Language, mark, number

LONGEST = 300
"""Characters of a text that are shown; the row keeps all."""
LONGEST_TITLE = 100
MOST_WARNINGS = 20
"""Warnings that are listed; the rest is counted."""
HEADLINES = {
    State.RUNNING: mark("Running"),
    State.PAUSED: mark("Paused"),
    State.COMPLETED: mark("Done"),
    State.FAILED: mark("Failed"),
    State.CANCELLED: mark("Cancelled"),
    State.LOST: mark("Lost"),
}
PHASES = {"done": mark("Done"), "now": mark("Now"), "later": mark("To come"), "stopped": mark("Stopped here")}
MINUTE, HOUR, DAY = 60, 3600, 86400
RANGES = {1: 90, MINUTE: 90 * MINUTE, HOUR: DAY}
"""Size of a unit → the most seconds that are told in it."""
A_FEW_SECONDS = 5
MOST_AHEAD = 1000
"""Places in a queue that are told; beyond them only that there are more."""
SHORT_WAIT = 3.0
"""Seconds after which a page asks what a task waits for."""

# Controls and the overrides of Unicode's bidirectional algorithm (UAX 9): they show nothing, and turn text round.
INVISIBLE = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " ")


class Phase(NamedTuple):
    """A step of a task."""

    name: str
    look: str
    """`done`, `now`, `later` or, where the task ended within it, `stopped`."""
    said: str
    """The same in words."""


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
    left: str
    """`about 2–3 min left`."""
    count: str
    """`124 000 of 200 000 rows`."""
    message: str
    problem: str
    advice: str
    reference: str
    phases: tuple[Phase, ...]
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


def describe(
    status: TaskStatus,
    now: datetime,
    is_full: Callable[[], bool] = lambda: False,
    language: Language = ENGLISH,
    hidden: Collection[str] = (),
) -> Wording:
    """Return what a person reads about `status` at `now`.

    Args:
        is_full: Asked, of what waits longer than a moment, whether all places are taken.
        language: Of the person.
        hidden: What is left out: `message`, `time`, `steps`.
    """
    warnings = status.warnings or []
    state, look = status.state, _look(status)
    failed = state in (State.FAILED, State.LOST)
    message = "" if failed or state is State.QUEUED or "message" in hidden else clean(status.message or "")
    headline = _headline(status, now, is_full, language)
    if look == "completed" and message in (headline, HEADLINES[State.COMPLETED]):
        message = ""  # it says no more than the headline
    share = _share(status)
    return Wording(
        id=status.id,
        state=state,
        look=look,
        title=clean(status.title or status.task, LONGEST_TITLE),
        headline="" if message and look == "running" else headline,
        figure="" if share is None or failed or state is State.QUEUED else _percent(share, language),
        share=None if share is None else f"{share:.4g}",
        left=time_left(status.remaining, language) if "time" not in hidden else "",
        count=_count(status, language),
        message=message,
        problem=_problem(status, language) if failed else "",
        advice=_advice(status, language),
        reference=status.reference or "" if failed else "",
        phases=() if "steps" in hidden else _phases(status, language),
        warnings=tuple(clean(str(text)) for text in warnings[:MOST_WARNINGS]),
        more_warnings=max(0, len(warnings) - MOST_WARNINGS),
    )


def clean(text: str, longest: int = LONGEST) -> str:
    """Return `text` without controls, cut to a length that fits a page."""
    text = text[: longest + 1]
    text = (text if text.isprintable() else text.translate(INVISIBLE)).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _look(status: TaskStatus) -> str:
    if status.state.is_final or status.cancel_requested_at is None:
        return "waiting" if status.state is State.QUEUED else status.state.value
    return "cancelling"


def _headline(status: TaskStatus, now: datetime, is_full: Callable[[], bool], language: Language) -> str:
    state = status.state
    if not state.is_final and status.cancel_requested_at is not None:
        return language.say("Cancelling…")
    if state is State.QUEUED:
        return _waiting(status, now, is_full, language)
    return language.say(HEADLINES[state])


def _waiting(status: TaskStatus, now: datetime, is_full: Callable[[], bool], language: Language) -> str:
    seconds = 0.0 if status.run_after is None else (status.run_after - now).total_seconds()
    if status.attempt > 1:
        attempt = {"attempt": status.attempt, "attempts": status.max_attempts}
        if seconds > 0:
            time = duration(seconds, language)
            return language.say("Trying again in {time} (attempt {attempt} of {attempts})", time=time, **attempt)
        return language.say("Trying again (attempt {attempt} of {attempts})", **attempt)
    if seconds > 0:
        return language.say("Starts in {time}", time=duration(seconds, language))
    since = (now - (status.run_after or status.created_at)).total_seconds()
    if status.queue is not None and (place := status.place) is not None:
        return in_line(place.number, place.starts_in, language)
    if since < SHORT_WAIT and status.queue is None:
        return language.say("Starting…")
    if since >= SHORT_WAIT and is_full():
        return language.say("Waiting for a free place")
    return language.say("Waiting to start")


def in_line(place_number: int, seconds: float | None, language: Language) -> str:
    """Return where somebody stands in a queue: `Number 3 in line · starts in about 2 min`."""
    if place_number > MOST_AHEAD:
        return language.say("More than {number} in line before this", number=number(MOST_AHEAD))
    place = language.say("Next in line")
    if place_number > 1:
        place = language.say("Number {number} in line", number=number(place_number))
    if seconds is None or seconds < A_FEW_SECONDS:
        return place
    rounded = math.ceil(seconds / A_FEW_SECONDS) * A_FEW_SECONDS  # so that it does not change at each look
    time = duration(rounded, language)
    return language.say("{place} · starts in about {time}", place=place, time=time)


def duration(seconds: float, language: Language) -> str:
    """Return a time as it is read at a glance: `50 s`, `10 min`, `2 h`."""
    if seconds <= RANGES[1]:
        return language.say("{count} s", count=number(math.ceil(seconds)))
    if seconds <= RANGES[MINUTE]:
        return language.say("{count} min", count=number(round(seconds / MINUTE)))
    if seconds <= DAY:
        return language.say("{count} h", count=number(round(seconds / HOUR)))
    return language.say_many("{count} day", "{count} days", round(seconds / DAY))


def time_left(remaining: tuple[float, float] | None, language: Language) -> str:
    """Return how long it still runs, at least and at most: `about 2–3 min left`; empty: nobody can say."""
    if remaining is None:
        return ""
    low, high = remaining
    if high <= A_FEW_SECONDS:
        return language.say("a few seconds left")
    if low == 0:
        return language.say("less than {time} left", time=duration(high, language))
    return language.say("about {time} left", time=_range(low, high, language))


def _range(low: float, high: float, language: Language) -> str:
    size = next((size for size, most in RANGES.items() if high <= most), DAY)
    if low == high:
        return duration(high, language)
    if low % size:
        return language.say("{low} – {high}", low=duration(low, language), high=duration(high, language))
    ends = {"low": number(round(low / size)), "high": number(round(high / size))}
    if size == DAY:
        return language.say("{low}–{high} days", **ends)
    if size == HOUR:
        return language.say("{low}–{high} h", **ends)
    return language.say("{low}–{high} min", **ends) if size == MINUTE else language.say("{low}–{high} s", **ends)


def _share(status: TaskStatus) -> float | None:
    """Return the share for the bar: all of it only when it is done, whatever rounding says."""
    if status.state is State.COMPLETED:
        return 100.0
    is_total_unknown = status.done is not None and status.total is None and not status.is_final
    return None if status.percent is None or is_total_unknown else min(max(status.percent, 0.0), 99.0)


def _percent(share: float, language: Language) -> str:
    return language.say("{number}%", number=math.floor(share))


def _count(status: TaskStatus, language: Language) -> str:
    if status.done is None or status.state is State.QUEUED:
        return ""
    done = number(status.done)
    total = None if status.state is State.COMPLETED and status.total == status.done else status.total
    amount = done if total is None else language.say("{done} of {total}", done=done, total=number(total))
    return language.say("{amount} {unit}", amount=amount, unit=clean(status.unit)) if status.unit else amount


def _phases(status: TaskStatus, language: Language) -> tuple[Phase, ...]:
    if status.state is State.QUEUED:
        return ()  # those of the attempt before
    found = []
    for phase in status.phases or []:
        look = "stopped" if phase["state"] == "now" and status.is_final else phase["state"]
        if look != "later" or status.state is not State.COMPLETED:  # what a task could do without
            found.append(Phase(clean(phase["name"]), look, language.say(PHASES[look])))
    return tuple(found)


def _problem(status: TaskStatus, language: Language) -> str:
    if status.error:
        return clean(explain(*status.error_parts, language))
    if status.state is State.LOST:
        return language.say("The process that did the work is gone, and nobody could say how it ended.")
    return language.say("The task ended with an error.")


def explain(message: str, values: Mapping[str, str | float], language: Language) -> str:
    """Return a sentence of the core, taken apart, in the language of the reader."""
    shown = {name: _length(value, language) if isinstance(value, float) else value for name, value in values.items()}
    return language.say(message, **shown)


def _length(seconds: float, language: Language) -> str:
    """Return a time as it stands in a sentence: `10 minutes`."""
    if seconds % 1:
        amount = f"{seconds:g}"
        return language.say("{amount} seconds", amount=amount)
    if seconds % 60:
        return language.say_many("{count} second", "{count} seconds", int(seconds))
    if seconds % 3600:
        return language.say_many("{count} minute", "{count} minutes", int(seconds // 60))
    return language.say_many("{count} hour", "{count} hours", int(seconds // 3600))


def _advice(status: TaskStatus, language: Language) -> str:
    if status.state is not State.LOST:
        return ""
    return language.say("Some of the work may have been done. Look at what there is before you start it again.")
