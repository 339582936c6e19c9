"""What a user writes, fully typed; checked by mypy and pyright against the installed wheel."""

from __future__ import annotations

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
    SettingsError,
    State,
    StatusNotFoundError,
    Task,
    TaskStatus,
    task,
)
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
