"""What a user writes, fully typed; checked by mypy and pyright against the installed wheel."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from flask import Flask, render_template_string
from pydantic import BaseModel

from forktask import (
    Cause,
    ForkTaskError,
    LiveStatus,
    Retry,
    RetryLater,
    SettingsError,
    State,
    StatusNotFoundError,
    Task,
    TaskStatus,
    task,
)
from forktask.errors import DuplicateError
from forktask.web import ForkTask

PAGE = "{{ forktask_progress(status) }}"


class ImportTask(Task):
    """Load a file into the database."""

    timeout = 600
    retry = Retry(attempts=3, never=(ValueError,), always=(Cause.TIMEOUT,))

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        """Read the rows, one by one."""
        total = 0
        for row in status.track([1, 2, 3], message="Importing", unit="rows"):
            assert_type(row, int)
            total += row
        with status.phase("Summary", 5):
            status.update(50, "Building the summary", done=1, total=2)
        status.warn("one row was empty")
        status.checkpoint({"row": total})
        return {"imported": total}


class MailTask(Task):
    """One of each person, written many at once; the rules of a queue."""

    unique = "owner"
    unique_until = "started"
    on_conflict = "replace"
    require_worker = True
    delete_on_completion = True
    inline_below = 5
    batch = 50

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> list[Any]:
        """Return a result for each."""
        return [RetryLater("+10 minutes", counts=False) for _ in statuses]

    @classmethod
    def size(cls, settings: Any) -> int:
        """Return how many letters there are."""
        return len(settings)


@task(unique="settings", inline_below=3, size=len)
def sweep(status: LiveStatus) -> None:
    """Be small."""


def leave_to_a_queue() -> None:
    """Leave many, for later."""
    later = MailTask.using(run_after="+10 minutes", unique="monthly", on_conflict="refuse")
    assert_type(later.enqueue_many([{"n": 1}], owner="7"), list[TaskStatus])
    assert_type(MailTask.enqueue_many([]), list[TaskStatus])
    assert_type(sweep.enqueue_many([{}]), list[TaskStatus])
    try:
        later.enqueue()
    except DuplicateError as error:
        assert_type(error.status_id, UUID)


class ReportTask(Task):
    """Settings as a pydantic model."""

    class Settings(BaseModel):
        """What the report is about."""

        year: int

    def execute(self, status: LiveStatus) -> int:
        """Return something else than a dict."""
        return len(str(status.settings))


@task
def clean(status: LiveStatus) -> None:
    """Tidy up."""
    status.update(message="Cleaning")


app = Flask(__name__)
forktask = ForkTask(app)
later = ForkTask()
later.init_app(app)


@app.post("/imports")
def start_import() -> str:
    """Start one and show its bar."""
    status = ImportTask.initiate({"path": "a.csv"}, owner="7")
    assert_type(status, TaskStatus)
    return render_template_string(PAGE, status=status)


def start_others() -> list[TaskStatus]:
    """Start the others, and one with options of its own."""
    return [
        ReportTask.initiate({"year": 2026}),
        clean.initiate(),
        ImportTask.using(priority=80, run_after=timedelta(minutes=5)).initiate({}),
    ]


def again_and_again() -> None:
    """Declare recurring tasks."""
    ImportTask.using(queue="imports").every(timedelta(hours=1), name="hourly", missed="all", overlap="queue")
    made = clean.cron("30 2 * * mon-fri", timezone="Europe/Berlin", jitter="5 min", owner="7")
    assert_type(made.name, str)


def look(status_id: UUID) -> str:
    """Read the fields of a row."""
    try:
        status = TaskStatus.get(status_id)
    except StatusNotFoundError:
        return "unknown"
    assert_type(status.id, UUID)
    assert_type(status.state, State)
    assert_type(status.percent, float | None)
    assert_type(status.message, str | None)
    assert_type(status.cause, Cause | None)
    assert_type(status.owner, str | None)
    assert_type(status.finished_at, datetime | None)
    assert_type(status.is_running, bool)
    assert_type(status.is_final, bool)
    status.refresh()
    status.wait(0.5)
    if not status.is_final:
        status.pause()
        status.resume()
        status.cancel()
    elif status.state is State.FAILED:
        status.retry()
    return status.message or status.error or status.state.value


def unfinished(owner: str) -> list[UUID]:
    """Find rows again."""
    return [status.id for status in TaskStatus.find(state=State.RUNNING, task=ImportTask, owner=owner)]


def refused() -> str:
    """Show the error tree: every error is a ForkTaskError."""
    try:
        clean.initiate({"when": object()})
    except SettingsError as error:
        return error.path
    except ForkTaskError as error:
        return str(error)
    return ""
