"""While the database is away: our addresses say so, and when to come again."""

from __future__ import annotations

import logging

from flask import Response, current_app, render_template, request
from werkzeug.exceptions import ServiceUnavailable

from forktask.errors import StoreError
from forktask.web import answers
from forktask.web.redirects import way_back
from forktask.web.rendering import asset_url, spoken

log = logging.getLogger("forktask.web")

RETRY_AFTER = 5
"""Seconds."""


def away(error: StoreError) -> Response:
    """Answer 503: a sentence for a person, problem details for a program.

    Raises:
        StoreError: No waiting mends it, so that it is a fault to be seen.
    """
    note(error, str(request.endpoint))
    response = _problem() if answers.wants_json() or answers.wants_part() else _page()
    response.headers["Retry-After"] = str(RETRY_AFTER)
    return response


def note(error: StoreError, place: str) -> None:
    """Log that the database is away; raise the error if it is another one."""
    if not error.transient:
        raise error
    log.warning("%s: the database is away: %s", place, error)


def _problem() -> Response:
    if not answers.is_our_script():
        return answers.problem(ServiceUnavailable())
    say = current_app.extensions["forktask"].languages.current().say
    return answers.problem(ServiceUnavailable(), say("That did not work just now. Please try again in a moment."))


def _page() -> Response:
    language = current_app.extensions["forktask"].languages.current()
    is_look = request.method == "GET"
    url = request.script_root + request.full_path.removesuffix("?") if is_look else way_back()
    shown = {**spoken(language), "title": language.say("Not available right now"), "url": url, "is_look": is_look}
    body = render_template("forktask/away.html", refresh=RETRY_AFTER, asset=asset_url, **shown)
    response = answers.page(body, state="away")
    response.status_code = ServiceUnavailable.code
    return response
