"""The widgets: functions that templates call, and the URLs at which they ask for more."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template, url_for
from markupsafe import Markup
from werkzeug.exceptions import NotFound

from forktask import TaskStatus
from forktask.web import access, answers
from forktask.web.wording import Wording, describe

blueprint = Blueprint("forktask", __name__, template_folder="templates", static_folder="static")


@blueprint.app_template_global()
def forktask_head(*, htmx: bool = True) -> Markup:
    """Return the tags that a page with widgets needs in its head.

    Args:
        htmx: False where the page has an htmx of its own.
    """
    return _render("head.html", htmx=htmx, asset=asset_url)


@blueprint.app_template_global()
def forktask_progress(status: TaskStatus) -> Markup:
    """Return a bar that shows `status`, follows it, and says how it ended."""
    return _render("frame.html", **_shown(status))


@blueprint.get("/progress/<token>")
def progress(token: str) -> Response:
    """Answer how a status stands: to its widget, to a person, or to a program."""
    try:
        status = access.find(token)
    except NotFound as error:
        return _not_found(error)
    if answers.wants_json():
        shown = answers.as_json(status)
        dumps = current_app.json.dumps
        return answers.answer(lambda: dumps(shown), shown=shown, state=status.state, mimetype="application/json")
    values = _shown(status)
    wording: Wording = values["status"]
    if answers.wants_part():
        return answers.answer(lambda: _render("progress.html", **values), shown=("part", wording), state=status.state)
    return answers.answer(
        lambda: render_template("forktask/page.html", **values), shown=("page", wording), state=status.state
    )


def asset_url(filename: str) -> str:
    """Return the URL of one of our static files, which changes with its content."""
    return url_for("forktask.static", filename=filename, v=_content_hash(filename))


@cache
def _content_hash(filename: str) -> str:
    return hashlib.sha256(Path(__file__).with_name("static").joinpath(filename).read_bytes()).hexdigest()[:8]


def _not_found(error: NotFound) -> Response:
    if answers.wants_part():
        return answers.gone(_render("gone.html"))
    if answers.wants_json():
        return answers.problem(error)
    raise error


def _shown(status: TaskStatus) -> dict[str, Any]:
    settings = current_app.extensions["forktask"].settings
    return {
        "status": describe(status, datetime.now(UTC)),
        "url": url_for("forktask.progress", token=access.sign(status.id)),
        "interval": f"{settings.poll_interval * 1000:.0f}ms",
        "refresh": max(2, round(settings.poll_interval)),
    }


def _render(name: str, **values: Any) -> Markup:
    # Straight from the environment: the application's context processors may ask its database, at every poll.
    return Markup(current_app.jinja_env.get_template(f"forktask/{name}").render(**values))  # noqa: S704 - a template
