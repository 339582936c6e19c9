"""Pages of the site for the browser tests with a step that takes full focus: form, please wait, arrived."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from flask import Blueprint, render_template_string, request, url_for
from werkzeug.wrappers import Response

from forktask import Task, TaskStatus
from forktask.web import ForkTask, full_focus
from tests.waiting import wait_until

FOLDER = Path(os.environ["STEERED_FOLDER"])
LAYOUT = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
{{ scripts | safe }}{{ forktask_head(htmx=not scripts) }}</head><body><h1>{{ title }}</h1>"""
FORM = (
    LAYOUT
    + """<form method="post" action="{{ action }}"
{% if kind == "boosted" %} hx-boost="true"{% elif kind == "posted" %} hx-post="{{ action }}"{% endif %}>
{{ forktask_form_token() }}<input name="pipe" aria-label="Pipe"><button>Pay</button></form></body></html>"""
)
STRICT = """<meta name="htmx-config" content='{"includeIndicatorStyles": false, "allowEval": false}'>"""
SITE = LAYOUT + "{{ forktask_global() }}</body></html>"


def own_scripts() -> str:
    """Return what loads the htmx of the application, if the address names one."""
    version = request.args.get("htmx", "")
    return f'{STRICT}<script src="/htmx/{version}" defer></script>' if version else ""


def steps(task: type[Task], forktask: ForkTask) -> Blueprint:
    """Return the pages of a step whose work is `task`."""
    pages = Blueprint("steps", __name__)

    @forktask.on_complete
    def arrive(status: TaskStatus) -> str:
        """Note the call; it comes back as soon as there is no file `hold`."""
        with (FOLDER / "calls").open("a") as file:
            file.write(f"{status.id} {os.getpid()}\n")
        wait_until(lambda: not (FOLDER / "hold").exists(), 60, "the hook to be let go")
        return url_for("steps.arrived", by="hook")

    @pages.get("/pay")
    def form() -> str:
        given: dict[str, Any] = request.args.to_dict()
        action = url_for("steps.pay", **given)
        return render_template_string(FORM, title="Pay", action=action, kind=given.get("kind"), scripts=own_scripts())

    @pages.post("/pay")
    def pay() -> Response:
        return full_focus(
            task.initiate({"pipe": request.form["pipe"]}),
            next_url=url_for("steps.arrived"),
            acceptable_wait=float(request.args.get("wait", "0")),
            on_complete=arrive if "hook" in request.args else None,
            back_url=url_for("steps.form", tried="once"),
            leave_url=url_for("steps.left"),
        )

    @pages.get("/arrived")
    def arrived() -> str:
        return render_template_string(LAYOUT, title="Arrived")

    pages.add_url_rule("/left", "left", lambda: render_template_string(LAYOUT, title="Left"))
    pages.add_url_rule("/site", "site", lambda: render_template_string(SITE, title="Site"))
    return pages
