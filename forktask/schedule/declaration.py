"""What is said of a recurring task, in code or by command; checked when it is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, TypedDict, get_args

from forktask.errors import ScheduleError
from forktask.queuename import QUEUE_RULE, is_queue
from forktask.schedule.intervals import Interval, seconds
from forktask.schedule.rules import Bounded, Cron, Every, Rule, closest, cron
from forktask.states import StartMethod

Missed = Literal["none", "last", "all"]
Overlap = Literal["skip", "queue", "parallel"]

NAME_LIMIT = 255
LEAST = 1.0
"""Seconds between runs at least: supervisors look once a second."""
NEAR = datetime.fromisoformat("2001-01-01T00:00:00+00:00")


class Recurrence(TypedDict, total=False):
    """What `every` and `cron` take beside the rule itself."""

    name: str
    """Stable name, one in the table; default: the task and the rule."""
    settings: Any
    owner: str
    start: datetime
    """Aware; nothing is due before. `every` counts from it."""
    end: datetime
    """Aware; nothing is due after it."""
    jitter: Interval
    """Each run begins up to so much later than it is due; less than the time between two runs."""
    missed: Missed
    """Which runs follow later that were due while nobody looked: none, the last (default) or all (at most 100)."""
    overlap: Overlap
    """What happens when a run is due and the one before has not ended: skip it (default), queue it behind, or run
    both in parallel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """One recurring task; each attribute as the column of `forktask_schedule` of that name."""

    name: str
    task: str
    title: str | None = None
    settings: Any
    owner: str | None = None
    public: int = 0
    queue: str = "default"
    priority: int = 50
    start_method: StartMethod | None = None
    metadata: Any = None
    every: float | None = None
    cron: str | None = None
    timezone: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter: float = 0.0
    missed: Missed = "last"
    overlap: Overlap = "skip"

    def values(self) -> dict[str, Any]:
        """Return what it says, by column."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


RULE = ("every", "cron", "timezone", "start_at", "end_at", "jitter")
"""What decides when it is due."""

RUN_OPTIONS = {"title", "start_method", "queue", "priority", "public", "metadata"}

_declared: dict[str, Declaration] = {}


def rule_of(row: Any, anchor: datetime) -> Rule:
    """Return the rule of a declaration or of a row.

    Raises:
        ScheduleError: It is none, for example one of a later version of forktask.
    """
    rule: Every | Cron
    if row.every is not None:
        rule = Every(row.every, row.start_at or anchor)
    elif row.cron is not None:
        rule = cron(row.cron, row.timezone or "UTC")
    else:
        raise ScheduleError(f"the recurring task {row.name!r} has no rule")
    return Bounded(rule, row.start_at, row.end_at)


def describe(row: Any) -> str:
    """Return the rule as text."""
    if row.every is not None:
        return f"every {row.every:g} s"
    return f"cron {row.cron} {row.timezone}"


def declaration_of(task: str, rule: Mapping[str, Any], *, settings: Any, options: Mapping[str, Any]) -> Declaration:
    """Return what is said of a recurring task, checked.

    Args:
        task: Its registered name.
        rule: `every`, or `cron` and `timezone`, and what `Recurrence` has.
        settings: Checked already.
        options: What `using` took that a run keeps.

    Raises:
        ScheduleError: Naming what is wrong.
    """
    unknown = set(rule) - {"every", "cron", "timezone", *Recurrence.__annotations__}
    if unknown:
        raise ScheduleError(
            f"a recurring task does not take {', '.join(sorted(unknown))}; "
            f"it takes {', '.join(Recurrence.__annotations__)}"
        )
    said = Declaration(
        name="",
        task=task,
        settings=settings,
        owner=_text(rule.get("owner"), "owner"),
        start_at=_time(rule.get("start"), "start"),
        end_at=_time(rule.get("end"), "end"),
        jitter=seconds(rule.get("jitter") or 0.0, "jitter", least=0.0),
        missed=_one_of(Missed, rule.get("missed", "last"), "missed"),
        overlap=_one_of(Overlap, rule.get("overlap", "skip"), "overlap"),
        **_when(rule),
        **options,
    )
    name = rule.get("name")
    values = said.values() | {"name": f"{task} {describe(said)}" if name is None else _text(name, "name")}
    if not 0 < len(values["name"]) <= NAME_LIMIT:
        raise ScheduleError(f"name has {len(values['name'])} characters; there are 1 to {NAME_LIMIT}: say name=")
    made = Declaration(**values)
    _check(made)
    return made


def run_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `using` took as the columns of a recurring task.

    Raises:
        ScheduleError: One of them is about a single run.
    """
    if wrong := sorted(set(options) - RUN_OPTIONS):
        raise ScheduleError(
            f"a recurring task does not take {', '.join(wrong)} from using(); it takes {', '.join(sorted(RUN_OPTIONS))}"
        )
    method = StartMethod(options["start_method"]) if options.get("start_method") else None
    if method in (StartMethod.FORK, StartMethod.INLINE):
        raise ScheduleError(
            f"start_method={method.value} is of the process that calls; a recurring task is started by others"
        )
    columns = {name: options[name] for name in ("title", "priority", "metadata") if name in options}
    queue = options.get("queue", "default")
    if not is_queue(queue):
        raise ScheduleError(f"queue={queue!r} is no queue; {QUEUE_RULE}")
    return columns | {"queue": queue, "public": int(options.get("public", False)), "start_method": method}


def _when(rule: Mapping[str, Any]) -> dict[str, Any]:
    if ("every" in rule) == ("cron" in rule):
        raise ScheduleError("a recurring task has either every= or cron=")
    if "every" in rule:
        if "timezone" in rule:
            raise ScheduleError("timezone= belongs to cron=; every= counts real time")
        return {"every": seconds(rule["every"], "every", least=LEAST)}
    found = cron(rule["cron"], rule.get("timezone", "UTC"))
    return {"cron": found.expression, "timezone": found.timezone}


def _check(made: Declaration) -> None:
    if made.start_at and made.end_at and made.end_at <= made.start_at:
        raise ScheduleError(f"end={made.end_at} is not after start={made.start_at}")
    if made.jitter and made.jitter >= (gap := closest(rule_of(made, NEAR), NEAR)):
        raise ScheduleError(f"jitter is {made.jitter:g} s; it must be less than the time between two runs, {gap:g} s")
    if made.missed == "all" and made.overlap == "skip":
        raise ScheduleError("missed='all' and overlap='skip' contradict each other; say overlap='queue' or 'parallel'")


def _time(given: object, name: str) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, str):
        try:
            given = datetime.fromisoformat(given)
        except ValueError:
            raise ScheduleError(f"{name}={given!r} is no time like 2030-01-31T08:00+01:00") from None
    if not isinstance(given, datetime) or given.tzinfo is None:
        raise ScheduleError(f"{name}={given!r} is no time with a time zone")
    return given


def _text(given: object, name: str) -> str | None:
    if given is not None and (not isinstance(given, str) or len(given) > NAME_LIMIT or not given.isprintable()):
        raise ScheduleError(f"{name}={given!r} is no text of one line and at most {NAME_LIMIT} characters")
    return given


def _one_of(kind: Any, given: object, name: str) -> Any:
    if given not in get_args(kind):
        raise ScheduleError(f"{name}={given!r}; it is one of {', '.join(get_args(kind))}")
    return given


def declare(made: Declaration) -> Declaration:
    """Have this process say so to the table when it becomes a supervisor.

    Raises:
        ScheduleError: Another one has the name.
    """
    if _declared.setdefault(made.name, made) != made:
        raise ScheduleError(f"two recurring tasks are called {made.name!r}; give each a name= of its own")
    return made


def declared() -> dict[str, Declaration]:
    """Return what the code of this process declares, by name."""
    return dict(_declared)


def forget(name: str) -> None:
    """Take a declaration back; for tests."""
    _declared.pop(name, None)
