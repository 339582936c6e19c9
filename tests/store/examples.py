"""Rows, claims and ends for the tests of the store."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any
from uuid import UUID

from forktask import clock
from forktask.identity import Identity
from forktask.rows import Claim, End, RunRow, Sample, Scope, StatusRow, SupervisorRow, new_id
from forktask.states import State
from forktask.store import Store

RUNNER = Identity(boot_id="boot", pid_namespace="4026531836", pid=4711, start_ticks=123456789012)
SUPERVISOR = new_id()


def a_row(**values: Any) -> StatusRow:
    now = clock.now()
    empty: dict[str, Any] = dict.fromkeys(StatusRow._fields)
    row = empty | {
        "id": new_id(),
        "task": "shop.ImportTask",
        "title": "Import",
        "state": State.QUEUED,
        "settings": {"path": "a.csv"},
        "public": 0,
        "bound": 0,
        "priority": 50,
        "attempt": 1,
        "unique_until_start": 0,
        "delete_on_completion": 0,
        "line": values.get("queue"),
        "lane": "",
        "turn": 0,
        "later": int(values.get("run_after") is not None and values.get("queue") is not None),
        "max_attempts": 1,
        "engine": "local",
        "created_at": now,
        "due_at": values.get("run_after") or now,
        "updated_at": now,
    }
    return StatusRow(**(row | values))


def inserted(store: Store, **values: Any) -> StatusRow:
    row = a_row(**values)
    store.insert(row)
    return row


def a_claim(status_id: UUID, supervisor_id: UUID = SUPERVISOR, *, pid: int = RUNNER.pid) -> Claim:
    return Claim(status_id=status_id, supervisor_id=supervisor_id, runner=replace(RUNNER, pid=pid))


def running(store: Store, **values: Any) -> StatusRow:
    row = inserted(store, **values)
    assert store.claim([a_claim(row.id)])
    return read(store, row)


def a_sample(row: StatusRow, **values: Any) -> Sample:
    return Sample(status_id=row.id, attempt=row.attempt, **values)


def an_end(row: RunRow, state: State = State.COMPLETED, **values: Any) -> End:
    given: dict[str, Any] = {
        "status_id": row.id,
        "attempt": row.attempt,
        "state": state,
        "finished_at": clock.now(),
        "supervisor_id": SUPERVISOR,
        "pid": RUNNER.pid,
    }
    return End(**(given | values))


def a_scope(*tasks: str, **values: Any) -> Scope:
    """Return what a supervisor may start that knows these tasks, by default that of `a_row`."""
    given: dict[str, Any] = {"tasks": frozenset(tasks or [a_row().task]), "application": "shop", "grace": 30.0}
    return Scope(**(given | {"mine": frozenset({"shop-2"}), "neighbours": frozenset()} | values))


def a_supervisor(**values: Any) -> SupervisorRow:
    now = clock.now()
    row: dict[str, Any] = {
        "id": new_id(),
        "application": "0f3a",
        "name": "0f3a-1",
        "version": "1",
        "host": "here",
        "kind": "embedded",
        "queues": None,
        "tasks": None,
        "processes": None,
        "held_at": None,
        "boot_id": RUNNER.boot_id,
        "pid_namespace": RUNNER.pid_namespace,
        "pid": os.getpid(),
        "start_ticks": 1,
        "started_at": now,
        "heartbeat_at": now,
        "stopped_at": None,
    }
    return SupervisorRow(**(row | values))


def read(store: Store, row: RunRow) -> StatusRow:
    found = store.get(row.id)
    assert found is not None
    return found
