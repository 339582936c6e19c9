"""Answers about a status: part of a page, a whole page or JSON; cheap when nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, request, session
from werkzeug.exceptions import Gone, HTTPException, NotFound, ServiceUnavailable

STATE_HEADER = "Forktask-State"
"""Marks our own answers: the page's script takes anything else (a login page, an error) for what it is."""

SCRIPT_HEADER = "Forktask-Request"
"""Sent by the page's script."""
VARY = f"Cookie, Accept, HX-Request, HX-Boosted, {SCRIPT_HEADER}"
"""Set at once, for what is added one by one is parsed and written each time."""
DETAILS = {
    NotFound: "No such status.",
    Gone: "This status was deleted.",
    ServiceUnavailable: "The database is away; ask again after the seconds of Retry-After.",
}


class PollAnswer(Response):
    """A response that does not prolong a login.

    Flask sends the cookie of a permanent session again with every response, and Flask-Login the one by which it
    remembers a person if it is told so: a tab left open would keep its person signed in for ever. What the application
    itself changed in the session is still sent.
    """

    def set_cookie(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Set a cookie, unless it would say again what the browser has."""
        config = current_app.config
        if key == config["SESSION_COOKIE_NAME"] and not _session_changed():
            return
        remember = config.get("REMEMBER_COOKIE_NAME", "remember_token")
        # One that the browser has is renewed only; one that it has not is a login.
        if key != remember or request.cookies.get(key) != (args[0] if args else kwargs.get("value")):
            super().set_cookie(key, *args, **kwargs)


def _session_changed() -> bool:
    """Return True if the session says something else than when the request came.

    `session.modified` is true already where an application says `session.permanent = True` before each request.
    """
    if not session.modified:
        return False
    before = current_app.session_interface.open_session(current_app._get_current_object(), request)  # type: ignore[attr-defined]  # a proxy
    return before is None or dict(before) != dict(session)


def is_our_script() -> bool:
    """Return True if the script of our widgets asks."""
    return SCRIPT_HEADER in request.headers


def wants_part() -> bool:
    """Return True if a script asks for the widget: ours, or htmx, and not on behalf of the address bar."""
    headers = request.headers
    if SCRIPT_HEADER in headers:
        return True
    whole = "HX-Boosted" in headers or "HX-History-Restore-Request" in headers
    return headers.get("HX-Request") == "true" and not whole


def wants_json() -> bool:
    """Return True if a program asks: JSON is named, and preferred to a page."""
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]


def answer(body: Callable[[], str], *, shown: object, state: str, mimetype: str = "text/html") -> Response:
    """Return `body()`, or 304 without calling it where the client has it already.

    The browser keeps the answer and asks whether it still holds; a script sees the kept one, as 200, and never the 304.

    Args:
        body: Renders the answer.
        shown: All that the answer depends on; its `repr` is compared.
        state: For scripts, in a header.
        mimetype: Of the body.
    """
    tag = hashlib.sha256(repr((mimetype, shown)).encode()).hexdigest()[:16]
    response = PollAnswer(mimetype=mimetype)
    if request.if_none_match.contains_weak(tag):
        response.status_code = 304
    else:
        response.set_data(body())
    response.set_etag(tag, weak=True)
    response.headers[STATE_HEADER] = state
    return private(response)


def page(body: str, *, state: str) -> Response:
    """Return a whole page: with what is the application's own around the widget, so that nobody keeps it."""
    response = private(PollAnswer(body, mimetype="text/html"))
    response.headers[STATE_HEADER] = state
    response.headers["Cache-Control"] = "no-store"
    return response


def gone(body: str, error: NotFound | Gone) -> Response:
    """Return the error with a last word for the widget, in which no poll follows."""
    response = PollAnswer(body, status=error.code, mimetype="text/html")
    response.headers[STATE_HEADER] = "gone"
    return private(response)


def problem(error: HTTPException, detail: str | None = None) -> Response:
    """Return an error for programs (RFC 9457).

    Args:
        detail: A sentence instead of ours.
    """
    detail = detail or DETAILS.get(type(error), error.description)
    body = {"type": "about:blank", "title": error.name, "status": error.code, "detail": detail}
    return private(PollAnswer(current_app.json.dumps(body), status=error.code, mimetype="application/problem+json"))


def private(response: Response, vary: str = VARY) -> Response:
    """Let nobody but the browser that asked keep an answer, and that one ask each time whether it still holds.

    Args:
        vary: Headers of the request on which the answer depends.
    """
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = vary
    return response
