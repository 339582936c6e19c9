"""One call of `initiate` or `enqueue`, and the row that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from forktask import clock
from forktask.definition import TaskDefinition
from forktask.errors import SettingsError
from forktask.rows import StatusRow, new_id
from forktask.start.inline import OnProgress
from forktask.states import StartMethod, State

TITLE_LIMIT = OWNER_LIMIT = 255
QUEUE_LIMIT = 100


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
    run_after: datetime | None = None
    metadata: Any = None
    shell: tuple[str, ...] = ()
    private: Mapping[str, Any] = field(default_factory=dict)
    on_progress: OnProgress | None = None


def row_of(call: Call, bound_to: StartMethod | None) -> StatusRow:
    """Return the queued row.

    Args:
        bound_to: The start method, if only the process that gets the arguments can start it.

    Raises:
        SettingsError: The owner or the queue is longer than its column.
    """
    for name, text, limit in (("owner", call.owner, OWNER_LIMIT), ("queue", call.queue, QUEUE_LIMIT)):
        if text is not None and len(text) > limit:
            raise SettingsError(name, f"has {len(text)} characters; at most {limit} are kept")
    now = clock.now()
    empty: dict[str, Any] = dict.fromkeys(StatusRow._fields)
    return StatusRow(
        **{
            **empty,
            "id": new_id(),
            "task": call.definition.name,
            "title": (call.title or call.definition.title)[:TITLE_LIMIT],
            "state": State.QUEUED,
            "settings": call.settings,
            "metadata": call.metadata,
            "owner": call.owner,
            "public": 0,
            "start_method": bound_to,
            "queue": call.queue,
            "priority": call.priority,
            "run_after": call.run_after,
            "attempt": 1,
            "max_attempts": call.definition.retry.attempts,
            "engine": "local",
            "created_at": now,
            "updated_at": now,
        }
    )
