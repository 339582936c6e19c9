"""The site that `poll.py` asks: polls of forktask, the same partial from a constant, and celery-progress."""

from __future__ import annotations

import importlib
import os
from datetime import UTC, datetime
from typing import Any

from flask import Flask, Response, current_app, request

from forktask import State, TaskStatus, process
from forktask.rows import StatusRow, SupervisorRow, new_id
from forktask.web import ForkTask
from forktask.web.bar import Bar, bar_of
from forktask.web.look import Look
from forktask.web.rendering import render
from forktask.web.tokens import ALL, sign
from forktask.web.visitor import requester

app = Flask(__name__)
app.config.update(SECRET_KEY="only for benchmarks", FORKTASK_DATABASE_URL=os.environ["POLL_DATABASE"])
app.config.update(FORKTASK_APP="benchmarks._poll_site:app")
ForkTask(app)


@app.post("/begin/<int:count>")
def begin(count: int) -> list[str]:
    """Write rows of running tasks of this browser, watched by a process that lives; return their tokens."""
    runtime = current_app.extensions["forktask"].runtime
    runtime._notice("t", None)  # gives the browser its key
    store, now, own = runtime.store, datetime.now(UTC), process.identify(os.getppid())
    store.ensure_tables()
    identity = {name: getattr(own, name) for name in ("boot_id", "pid_namespace", "pid", "start_ticks")}
    known: dict[str, Any] = {"application": "poll", "name": "", "version": "1", "host": "here", "kind": "inline"}
    known |= dict.fromkeys(("queues", "tasks", "processes", "held_at", "stopped_at")) | {"heartbeat_at": now}
    supervisor = SupervisorRow(id=new_id(), **known, **identity, started_at=now)
    store.register(supervisor)
    fixed: dict[str, Any] = dict.fromkeys(StatusRow._fields) | {
        "task": "poll.Import",
        "title": "Customer import",
        "state": State.RUNNING,
        "percent": 62.5,
        "done": 125_000,
        "total": 200_000,
        "unit": "rows",
        "message": "Importing",
        "settings": {"path": "a.csv"},
        **dict.fromkeys(("public", "bound", "unique_until_start", "delete_on_completion", "turn", "later"), 0),
        "lane": "",
        "priority": 50,
        "attempt": 1,
        "max_attempts": 1,
        "engine": "local",
        **dict.fromkeys(("created_at", "due_at", "started_at", "updated_at"), now),
        "supervisor_id": supervisor.id,
        "visitor": requester().visitor,
        **{f"runner_{name}": value for name, value in identity.items()},
    }
    rows = [StatusRow(**{**fixed, "id": new_id()}) for _ in range(count)]
    for row in rows:
        store.insert(row)
    return [sign(row.id) for row in rows]


CONSTANT: list[Bar] = []


@app.get("/constant")
def constant() -> Response:
    """Render the partial of one status, read once."""
    if not CONSTANT:
        row = current_app.extensions["forktask"].runtime.find(limit=1)[0]
        CONSTANT.append(bar_of(TaskStatus(row, current_app.extensions["forktask"].runtime), sign(row.id), ALL, Look()))
    bar = CONSTANT[0]
    body = {"bars": [{"state": bar.status.state, "tag": bar.tag, "html": render("part.html", **bar.values)}]}
    return Response(current_app.json.dumps(body), mimetype="application/json")


def add_celery_progress(redis: str) -> None:
    """Add the peer: a task's progress as JSON from Redis."""
    celery = importlib.import_module("celery").Celery("poll", broker=redis, backend=redis)
    backend: Any = importlib.import_module("celery_progress.backend")

    @app.post("/celery/begin")
    def celery_begin() -> str:
        meta = {"pending": False, "current": 125_000, "total": 200_000, "percent": 62.5, "description": "Importing"}
        celery.backend.store_result("forktask-poll-benchmark", meta, "PROGRESS")
        return "stored"

    @app.get("/celery")
    def celery_poll() -> dict[str, Any]:
        return dict(backend.Progress(celery.AsyncResult(request.args["id"])).get_info())


if os.environ.get("POLL_REDIS"):
    add_celery_progress(os.environ["POLL_REDIS"])
