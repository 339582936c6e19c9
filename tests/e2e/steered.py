"""A site for the browser tests; its task does what the test writes into a pipe, line by line."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from flask import Flask, Response, redirect, render_template_string, request, send_file, session
from werkzeug.wrappers import Response as AnyResponse

from forktask import LiveStatus, Task, TaskStatus
from forktask import web as web_package
from forktask.web import ForkTask, status_url
from tests.e2e.steps import own_scripts, steps
from tools import htmx4


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
app.config.update(SECRET_KEY="only for tests", FORKTASK_POLL_INTERVAL=0.2, FORKTASK_MAX_WAIT=60)
forktask = ForkTask(app, owner=lambda: session.get("who"))
app.register_blueprint(steps(SteeredTask, forktask))

HTMX = {"2": Path(web_package.__file__).parent / "static" / "htmx.min.js", "4": htmx4.FILE}
BODIES = {
    "plain": "<body>",
    "boosted": """<body hx-boost="true" hx-target="#elsewhere" hx-select="#nothing" hx-confirm="Really?"
        hx-swap="innerHTML" hx-push-url="true" hx-vals='{"page": "own"}' hx-include="#name"
        hx-indicator="#elsewhere">""",
}
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Steered</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{{ scripts | safe }}{{ forktask_head(htmx=not scripts) }}</head>
{{ body | safe }}<input id="name" name="name" aria-label="Name"><div id="elsewhere">here</div>{{ forktask_notice() }}
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
    for name in ("who", "closed"):
        session.pop(name, None)
    session.update(request.get_json())
    return "changed"


@app.post("/start")
def start() -> str:
    settings = {"pipe": request.form["pipe"]}
    if later := float(request.form.get("later", 0)):
        return str(SteeredTask.using(run_after=timedelta(seconds=later)).enqueue(settings, owner=session.get("who")).id)
    return str(SteeredTask.initiate(settings, owner=session.get("who")).id)


@app.post("/start/address")
def start_by_script() -> dict[str, str]:
    return {"url": status_url(SteeredTask.initiate({"pipe": request.form["pipe"]}))}


@app.get("/show/<layout>/<path:ids>")
def show(layout: str, ids: str) -> str:
    statuses = [TaskStatus.get(UUID(text)) for text in ids.split("/")]
    return render_template_string(PAGE, statuses=statuses, body=BODIES[layout], scripts=own_scripts())


@app.get("/htmx/<any('2', '4'):version>")
def own_htmx(version: str) -> Response:
    """The application's own htmx."""
    return send_file(HTMX[version])


@app.after_request
def forbid_inline(response: Response) -> Response:
    response.headers["Content-Security-Policy"] = "default-src 'self'"
    return response
