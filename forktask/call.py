"""One call of `initiate` or `enqueue`, and the row that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf
from typing import Any, Protocol
from uuid import UUID

from forktask import clock, host
from forktask.definition import TaskDefinition
from forktask.errors import SettingsError
from forktask.line import lane_of, line_of
from forktask.queuename import QUEUE_RULE, is_queue
from forktask.retry import Retry
from forktask.rows import StatusRow, new_id
from forktask.rules import NO_RULES, Rules
from forktask.start.destination import Destination
from forktask.start.inline import OnProgress
from forktask.states import Cause, StartMethod, State

TITLE_LIMIT = OWNER_LIMIT = 255
NEW = dict.fromkeys(StatusRow._fields) | {"state": State.QUEUED, "attempt": 1, "engine": "local"}
"""What every new row says."""


class Origin(Protocol):
    """Where a call came from, as far as the caller's surroundings know: a web request, for example."""

    @property
    def owner(self) -> str | None:
        """Whose it is, if the call does not say so."""

    @property
    def visitor(self) -> str | None:
        """Who ordered it, where nobody is known by name."""

    @property
    def once_key(self) -> str | None:
        """What makes a second call the same order: it gets the status of the first."""

    @property
    def once_content(self) -> str | None:
        """What was ordered, as far as it matters that a second call orders the same."""

    def join(self, once_content: str | None) -> None:
        """Raise if a second call may not have the status of the first, given what that ordered."""

    def alone(self) -> AbstractContextManager[object]:
        """Return a context in which no thread of ours runs in this process, for a fork."""


Noticed = Callable[[str, str | None], Origin | None]
"""Given a task's name and the owner that the call names; returns its origin, if there is one to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of `initiate` or `enqueue`: the task, its settings, and what varies per call."""

    definition: TaskDefinition
    settings: Any
    owner: str | None = None
    title: str | None = None
    start_method: StartMethod | None = None
    queue: str | None = None
    priority: int = 50
    run_after: datetime | float | None = None
    """A time, or seconds from now."""
    metadata: Any = None
    shell: tuple[str, ...] = ()
    private: Mapping[str, Any] = field(default_factory=dict)
    on_progress: OnProgress | None = None
    public: bool = False
    rules: Rules = NO_RULES
    parent_id: UUID | None = None
    """The status whose task makes the call."""
    inline: bool = False
    """It is small enough to run here and now, as far as nothing speaks against it."""
    visitor: str | None = None
    once_key: str | None = None
    once_content: str | None = None
    join: Callable[[str | None], None] | None = None
    """Raises if it may not have a row that was ordered before, given its `once_content`."""
    alone: Callable[[], AbstractContextManager[object]] = nullcontext
    """Keeps threads of ours out of the way of a fork."""

    @property
    def delay(self) -> float | None:
        """Seconds from now until it may run, if that is how it was said."""
        return self.run_after if isinstance(self.run_after, float) else None

    def noticed(self, notice: Noticed) -> Call:
        """Return the call with its origin."""
        origin = notice(self.definition.name, self.owner)
        if origin is None:
            return self
        owner = origin.owner if self.owner is None else self.owner
        known = replace(self, owner=owner, visitor=origin.visitor, once_key=origin.once_key)
        return replace(known, once_content=origin.once_content, join=origin.join, alone=origin.alone)


def row_of(call: Call, *, bound_to: StartMethod | None = None, destination: Destination | None = None) -> StatusRow:
    """Return the queued row.

    Args:
        bound_to: The start method, if only the process that gets the arguments can start it.
        destination: The supervisor that will be told of it; None: any that serves its queue.

    Raises:
        SettingsError: The owner is longer than its column, the queue is none, or there is none that a rule needs.
    """
    _check_lengths(call)
    return StatusRow(
        **{
            **NEW,
            "id": new_id(),
            "settings": call.settings,
            **_said(call),
            **_rules(call),
            **_in_line(call, None if bound_to else limit_name(call, call.settings)),
            "start_method": bound_to or call.start_method,
            "bound": int(bound_to is not None),
            "application": destination.application if destination else None,
            "destination": destination.name if destination else None,
            # Its process is forked at once, beyond the reach of the limit: it counts from now on.
            "runner_boot_id": host.boot_id() if bound_to is StartMethod.FORK else None,
            **_times(call),
        }
    )


def _said(call: Call) -> dict[str, Any]:
    """Return what stands in the row as the call says it."""
    return {
        "task": call.definition.name,
        "title": (call.title or call.definition.title)[:TITLE_LIMIT],
        "metadata": call.metadata,
        "owner": call.owner,
        "visitor": call.visitor,
        "public": int(call.public),
        "parent_id": call.parent_id,
        "queue": call.queue,
        "priority": call.priority,
        "once_key": call.once_key,
        "once_content": call.once_content,
    }


def _rules(call: Call) -> dict[str, Any]:
    """Return what the rules of the task become."""
    retry = call.definition.retry
    return {
        "max_attempts": retry.attempts,
        "lost_backoff": _lost_backoff(retry),
        "unique_key": unique_key(call, call.settings),
        "unique_until_start": int(call.rules.unique_until == "started"),
        "delete_on_completion": int(call.rules.delete_on_completion),
    }


def _in_line(call: Call, limit: str | None) -> dict[str, Any]:
    """Return where it waits."""
    return {
        "limit_name": limit,
        "line": line_of(call.queue, limit),
        "lane": lane_of(call.owner or call.visitor),
        "turn": 0,
        "later": int(call.run_after is not None),
    }


def limit_name(call: Call, settings: Any) -> str | None:
    """Return the name under which such a call counts; None: it has no limit.

    Raises:
        SettingsError: What the name is made of is not there.
    """
    limit = call.rules.limit
    return limit.name(call.definition.name, settings, call.owner or call.visitor) if limit is not None else None


def unique_key(call: Call, settings: Any) -> str | None:
    """Return what no two living rows of such a call have in common.

    Raises:
        SettingsError: The owner is to be it, and nobody is.
    """
    owner = call.owner or call.visitor
    if call.rules.unique == "owner" and owner is None:
        raise SettingsError("owner", "is missing: the task is unique for each owner, so say whose it is")
    return call.rules.key(call.definition.name, settings, owner)


def _times(call: Call) -> dict[str, datetime | None]:
    now = clock.now()
    run_after = now + timedelta(seconds=call.run_after) if isinstance(call.run_after, float) else call.run_after
    return {"run_after": run_after, "due_at": run_after or now, "created_at": now, "updated_at": now}


def _check_lengths(call: Call) -> None:
    for name, text, limit in (
        ("owner", call.owner, OWNER_LIMIT),
        ("title", call.title, inf),
    ):
        if text is not None and not isinstance(text, str):
            raise SettingsError(name, f"is {text!r}; it is text")
        if text is not None and len(text) > limit:
            raise SettingsError(name, f"has {len(text)} characters; at most {limit} are kept")
    if call.queue is not None and not is_queue(call.queue):
        raise SettingsError("queue", f"is {call.queue!r}; {QUEUE_RULE}")


def _lost_backoff(retry: Retry) -> float | None:
    return retry.delay(1) if retry.applies(Cause.SUPERVISOR_GONE) else None
