"""Rows for the tests of the command line."""

from __future__ import annotations

from typing import Any

from forktask import clock, process
from forktask.rows import Claim, StatusRow, SupervisorRow
from forktask.states import Cause, State
from forktask.store import Store
from tests.store.examples import a_sample, a_supervisor, an_end, inserted, read


def a_living_supervisor(store: Store, **values: Any) -> SupervisorRow:
    """Write a supervisor that lives as long as this process: it is this process."""
    me = process.identify()
    known = {"boot_id": me.boot_id, "pid_namespace": me.pid_namespace, "pid": me.pid, "start_ticks": me.start_ticks}
    row = a_supervisor(**(known | values))
    store.register(row)
    return row


def a_running(store: Store, supervisor: SupervisorRow | None = None, **values: Any) -> StatusRow:
    """Write a row of which this process is the runner."""
    row = inserted(store, **values)
    watcher = supervisor or a_living_supervisor(store)
    assert store.claim([Claim(status_id=row.id, supervisor_id=watcher.id, runner=process.identify())])
    return read(store, row)


def a_failed(store: Store, **values: Any) -> StatusRow:
    """Write a row that ran and failed, with an attempt, a traceback and a reference."""
    watcher = a_living_supervisor(store)
    row = a_running(store, watcher, **values)
    end = an_end(
        row,
        State.FAILED,
        cause=Cause.EXCEPTION,
        error="Something went wrong while this was running.",
        reference="K7QX-3MFA",
        traceback="Traceback (most recent call last):\nValueError: no header",
        supervisor_id=watcher.id,
        cpu_seconds=1.5,
        peak_memory=64 << 20,
        last=a_sample(row, percent=30.0, message="Reading"),
    )
    assert not store.save([], [end])
    found = store.get(row.id)
    assert found is not None
    return found


def a_completed(store: Store, **values: Any) -> StatusRow:
    """Write a row that has completed."""
    return inserted(store, state=State.COMPLETED, percent=100.0, message="Done", finished_at=clock.now(), **values)
