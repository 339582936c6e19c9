"""Rows in whatever state a test needs, in a real database."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID

from forktask import State, process
from forktask.clock import now
from forktask.rows import StatusRow, SupervisorRow, new_id
from forktask.store import Store


def row(**values: Any) -> StatusRow:
    """Return a queued row, but for `values`."""
    moment = now()
    plain: dict[str, Any] = {
        "id": new_id(),
        "task": "tests.web.Import",
        "title": "Customer import",
        "state": State.QUEUED,
        "settings": {},
        "public": 1,
        "bound": 0,
        "priority": 50,
        "attempt": 1,
        "unique_until_start": 0,
        "delete_on_completion": 0,
        "line": values.get("queue"),
        "lane": "",
        "turn": 0,
        "later": 0,
        "max_attempts": 1,
        "engine": "local",
        "created_at": moment,
        "due_at": moment,
        "updated_at": moment,
    }
    return StatusRow(**{**dict.fromkeys(StatusRow._fields), **plain, **values})


def keep(store: Store, **values: Any) -> UUID:
    """Write a row and return its id; one that is under way is watched by this very process, which lives."""
    if values.get("state") in (State.RUNNING, State.PAUSED):
        own = process.identify(os.getpid())
        values = {
            "supervisor_id": watcher(store),
            "runner_boot_id": own.boot_id,
            "runner_pid_namespace": own.pid_namespace,
            "runner_pid": own.pid,
            "runner_start_ticks": own.start_ticks,
            "started_at": now(),
            **values,
        }
    written = row(**values)
    store.insert(written)
    return written.id


def watcher(store: Store, pid: int | None = None) -> UUID:
    """Register a process, by default this one, as a supervisor."""
    own = process.identify(pid or os.getpid())
    supervisor = SupervisorRow(
        id=new_id(),
        application="tests",
        name="",
        version="1",
        host="here",
        kind="inline",
        queues=None,
        tasks=None,
        processes=None,
        held_at=None,
        boot_id=own.boot_id,
        pid_namespace=own.pid_namespace,
        pid=own.pid,
        start_ticks=own.start_ticks,
        started_at=now(),
        heartbeat_at=now(),
        stopped_at=None,
    )
    store.ensure_tables()
    store.register(supervisor)
    return supervisor.id
