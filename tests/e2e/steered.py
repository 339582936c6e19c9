"""A site for the browser tests; its task does what the test writes into a pipe, line by line."""

from __future__ import annotations

import json
import os
import signal
from uuid import UUID

from flask import Flask, Response, redirect, render_template_string, request, session
from werkzeug.wrappers import Response as AnyResponse

from forktask import LiveStatus, Task, TaskStatus
from forktask.web import ForkTask


class SteeredTask(Task):
    """Reads orders from a pipe: `{"percent": 40}`, `{"warn": "…"}`, `{"raise": "…"}`, `{"kill": 9}` or `{"end": 1}`."""

    title = "Steered <task>"

    def execute(self, status: LiveStatus) -> str:
        with open(status.settings["pipe"]) as pipe:
            for line in pipe:
                order = json.loads(line)
                if "raise" in order:
                    raise RuntimeError(order["raise"])
                if "kill" in order:
                    signal.raise_signal(signal.Signals(order["kill"]))
                if "end" in order:
                    break
                if "warn" in order:
                    status.warn(order["warn"])
                else:
                    status.update(**order)
        return "done"


app = Flask(__name__, instance_path=os.environ["STEERED_FOLDER"])
app.config.update(SECRET_KEY="only for tests", FORKTASK_POLL_INTERVAL=0.2)
ForkTask(app, owner=lambda: session.get("who"))

BODIES = {
    "plain": "<body>",
    "boosted": """<body hx-boost="true" hx-target="#elsewhere" hx-select="#nothing" hx-confirm="Really?"
        hx-swap="innerHTML" hx-push-url="true" hx-vals='{"page": "own"}' hx-include="#name"
        hx-indicator="#elsewhere">""",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Steered</title>
<meta name="viewport" content="width=device-width, initial-scale=1">{{ forktask_head() }}</head>
{{ body | safe }}<input id="name" name="name" aria-label="Name"><div id="elsewhere">here</div>
{% for status in statuses %}<section>{{ forktask_progress(status) }}</section>{% endfor %}</body></html>"""


@app.before_request
def sign_in_first() -> AnyResponse | None:
    """Send everybody to the login page, as applications do, while the session says so."""
    closed = session.get("closed") and not request.path.startswith(("/session", "/login", "/static"))
    return redirect("/login") if closed else None


@app.get("/login")
def login() -> str:
    return "<!doctype html><title>Sign in</title><form>Please sign in</form>"


@app.post("/session")
def change_session() -> str:
    session.clear()
    session.update(request.get_json())
    return "changed"


@app.post("/start")
def start() -> str:
    return str(SteeredTask.initiate({"pipe": request.form["pipe"]}, owner=session.get("who")).id)


@app.get("/show/<layout>/<path:ids>")
def show(layout: str, ids: str) -> str:
    statuses = [TaskStatus.get(UUID(text)) for text in ids.split("/")]
    return render_template_string(PAGE, statuses=statuses, body=BODIES[layout])


@app.after_request
def forbid_inline(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response
