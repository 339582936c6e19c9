"""The functions that templates call, and the URLs at which widgets and programs ask."""

from __future__ import annotations

from flask import Blueprint, Response, render_template
from markupsafe import Markup
from werkzeug.exceptions import Gone, NotFound

from forktask.errors import StoreError
from forktask.web import access, answers, programs
from forktask.web.actions import VERBS, act
from forktask.web.bar import bar_of, progress
from forktask.web.look import unpack
from forktask.web.outage import away
from forktask.web.polling import poll
from forktask.web.rendering import asset_url, render, spoken
from forktask.web.visitor import FORM_FIELD, new_form_token

blueprint = Blueprint("forktask", __name__, template_folder="templates", static_folder="static")
blueprint.register_error_handler(StoreError, away)
blueprint.add_app_template_global(progress, "forktask_progress")
blueprint.add_url_rule("/progress", "poll", poll)
blueprint.add_url_rule(f"/progress/<token>/<any({', '.join(VERBS)}):action>", "act", act, methods=["POST"])


@blueprint.app_template_global()
def forktask_head(*, htmx: bool = True) -> Markup:
    """Return the tags that a page with widgets needs in its head.

    Args:
        htmx: False where the page has an htmx of its own, or needs none: the widgets do without.
    """
    return render("head.html", htmx=htmx, asset=asset_url)


@blueprint.app_template_global()
def forktask_notice() -> Markup:
    """Return a control: once pressed, the browser says when something on the page ends that nobody looks at."""
    return render("notice.html", asset=asset_url, **spoken())


@blueprint.app_template_global()
def forktask_form_token() -> Markup:
    """Return a hidden field: what a form with it started is joined by the same form sent again, after "back" too."""
    field = Markup('<input type="hidden" name="{}" value="{}"><script src="{}" defer></script>')
    return field.format(FORM_FIELD, new_form_token(), asset_url("forktask-form.js"))


@blueprint.get("/progress/<token>", endpoint="progress")
def show(token: str) -> Response:
    """Answer how a status stands: to a script that wants the widget, to a person, or to a program."""
    try:
        status, grant = access.find(token)
    except (NotFound, Gone) as error:
        return _not_found(error)
    if answers.wants_json():
        return programs.answer(status, grant, token)
    bar = bar_of(status, token, grant.actions, unpack(grant.look))
    if answers.wants_part():
        return answers.answer(lambda: bar.frame, shown=("frame", bar.tag), state=status.state)
    return answers.page(render_template("forktask/page.html", **bar.values), state=status.state)


def _not_found(error: NotFound | Gone) -> Response:
    if answers.wants_part():
        return answers.gone(render("closed.html", **spoken()), error)
    if answers.wants_json():
        return answers.problem(error)
    raise error
