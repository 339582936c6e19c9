"""A site that shows every widget in every state, for the tests of what is seen and heard, and for the screenshots.

Its rows are written as they are and go nowhere: what the pages show stands still.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from flask import Flask, Response, abort, render_template_string, request
from werkzeug.wrappers import Response as AnyResponse

from forktask import State, TaskStatus
from forktask.clock import now
from forktask.errors import StoreError
from forktask.store import Store, StoreRefusedError
from forktask.web import ForkTask, full_focus
from forktask.web import focus as focusing
from forktask.web.outage import away
from forktask.web.overview import _shown
from forktask.web.rendering import asset_url, render, spoken
from forktask.web.tokens import sign
from tests.e2e.states import STATES, WIDGETS
from tests.web.rows import keep, row

app = Flask(__name__, instance_path=os.environ["GALLERY_FOLDER"])
app.config.update(SECRET_KEY="only for tests", FORKTASK_POLL_INTERVAL=3600, FORKTASK_START_METHOD="inline")
forktask = ForkTask(
    app, locale=lambda: request.args.get("lang") or request.args.get("language"), permit=lambda *_: True
)
focusing.FINISHING_INTERVAL = 3600.0

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>Gallery</title><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{{ forktask_head() }}
<link rel="stylesheet" href="/gallery.css"></head><body><main><h1>Import</h1>{{ forktask_notice() }}
{%% for status in statuses %%}<section>%s</section>{%% endfor %%}</main></body></html>"""
CSS = """body { font-family: system-ui, sans-serif; margin: 0; background: Canvas; color: CanvasText; }
h1 { font-size: 1.25rem; }
main { max-inline-size: 40rem; margin: auto; padding: 1rem; } section { margin-block: 1.5rem; }"""


NOTES = """const all = (selector) => document.querySelectorAll(selector);
for (const note of all("[data-forktask-note], [data-forktask-notice]")) note.hidden = false;
for (const note of all("[data-forktask-refused]")) note.textContent = note.dataset.forktaskRefused;"""


@forktask.on_complete
def last_word(status: TaskStatus) -> None:
    """Never come to be called: another request does it."""


HOOK = f"{last_word.__module__}.{last_word.__qualname__}"


@cache
def row_of(state: str) -> UUID:
    """Return the id of the row in this state; it is written once."""
    store = Store(app.extensions["forktask"].settings.database_url)
    store.ensure_tables()
    status_id = UUID(int=(1 << 120) + list(STATES).index(state))
    if store.get(status_id) is None:
        with suppress(StoreRefusedError):  # another worker process was faster
            keep(store, id=status_id, **values_of(state))
    store.close()
    return status_id


def values_of(state: str) -> dict[str, Any]:
    """Return what is in the row in this state."""
    moment = now()
    values = {"started_at": moment, "finished_at": None, **STATES[state]}
    if "run_in" in values:
        values["run_after"] = moment + timedelta(seconds=values.pop("run_in"))
    if values.pop("cancelled", False):
        values["cancel_requested_at"] = moment
    if values.get("state") in (State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST):
        values["finished_at"] = moment
    if values.get("state") is State.RUNNING and values.get("total"):
        # From tomorrow, so that no time passes since.
        values |= {"active_seconds": 80.0, "pace_low": 0.005, "pace_high": 0.01, "updated_at": moment + timedelta(1)}
    return values


@app.get("/gallery.css")
def style() -> Response:
    return Response(CSS, mimetype="text/css")


@app.get("/global")
def corner() -> str:
    """Show a page with what runs in its corner."""
    for state in STATES:
        row_of(state)
    content = "<p>Any page of the application.</p>{{ forktask_global() }}"
    return render_template_string(PAGE % content, statuses=[None])


@app.get("/corner/<any('completed', 'failed'):state>")
def ended(state: str) -> str:
    """Show a page in whose corner all has ended, without the script that would look for what runs."""
    names = [state, "completed-warned", "failed", "cancelled", "lost"] if state == "failed" else [state]
    statuses = [TaskStatus.get(row_of(name)) for name in names]
    values = _shown([], [(sign(status.id), status) for status in statuses])
    values["asset"] = lambda name: asset_url(name.replace("-global.js", "-focus.js"))
    corner = render("global.html", **values)
    return render_template_string(PAGE % "<p>Any page of the application.</p>{{ corner }}", statuses=[1], corner=corner)


@app.get("/focus/<state>")
def focus(state: str) -> AnyResponse:
    """Send to the page between two steps; `finishing`: completed, and the hook has not come back."""
    finishing = state == "finishing"
    status = TaskStatus.get(row_of("completed" if finishing else "waiting" if state == "gone" else state))
    ways: focusing.Ways = {"back_url": "/back", "leave_url": "/elsewhere"}
    hook = last_word if finishing else None
    if finishing:
        app.extensions["forktask"].runtime.store.begin_completion(status.id, HOOK, uuid4(), patience=3600)
    if state == "gone":
        status = TaskStatus(row(state=State.FAILED), status._runtime)
    return full_focus(status, next_url="/done", acceptable_wait=0, on_complete=hook, **ways)


@app.get("/gone")
def gone() -> str:
    """Show a bar of a status that is not there any more, as it stands in a page that was open meanwhile."""
    content = '{% include "forktask/closed.html" %}</section>'
    content += "<section>{{ forktask_progress(status) }}"
    shown = TaskStatus.get(row_of("running"))
    return render_template_string(PAGE % content, statuses=[shown], **spoken())


@app.get("/away")
def outage() -> Response:
    """Show what stands in the place of a page of ours while the database is away."""
    return away(StoreError("nobody listens"))


@app.get("/notes")
def notes() -> str:
    """Show bars with all that may be said below them: no connection, signed out, an action that failed."""
    content = "{{ forktask_progress(status) }}</section><section>{{ forktask_progress(status, compact=true) }}"
    content += '<script src="/notes.js" defer></script>'
    return render_template_string(PAGE % content, statuses=[TaskStatus.get(row_of("running"))])


@app.get("/notes.js")
def show_notes() -> Response:
    return Response(NOTES, mimetype="text/javascript")


@app.get("/<widget>/<state>")
def show(widget: str, state: str) -> str:
    """Show a widget in one state, or in all of them."""
    states = STATES if state == "all" else [state]
    if widget not in WIDGETS or not set(states) <= STATES.keys():
        abort(404)
    statuses = [TaskStatus.get(row_of(state)) for state in states]
    return render_template_string(PAGE % WIDGETS[widget], statuses=statuses)


@app.after_request
def forbid_inline(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response
