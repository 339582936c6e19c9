"""Answers about a status: part of a page, a whole page or JSON; cheap when nothing has changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, request, session
from werkzeug.exceptions import NotFound

from forktask import TaskStatus

STATE_HEADER = "Forktask-State"
"""Marks our own answers: the page's script takes anything else (a login page, an error) for what it is."""


class PollAnswer(Response):
    """A response that does not prolong a login.

    Flask sends the cookie of a permanent session again with every response, so that a tab left open would keep its
    person signed in for ever. What the application itself changed in the session is still sent.
    """

    def set_cookie(self, key: str, *args: Any, **kwargs: Any) -> None:
        """Set a cookie, unless it is the session's and nothing changed in it."""
        if key != current_app.config["SESSION_COOKIE_NAME"] or session.modified:
            super().set_cookie(key, *args, **kwargs)


def wants_part() -> bool:
    """Return True if htmx asks, and not on behalf of the address bar."""
    headers = request.headers
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
    return _private(response)


def gone(body: str) -> Response:
    """Return 404 with a last word for the widget, in which no poll follows."""
    response = PollAnswer(body, status=404, mimetype="text/html")
    response.headers[STATE_HEADER] = "gone"
    return _private(response)


def problem(error: NotFound) -> Response:
    """Return an error for programs (RFC 9457)."""
    body = current_app.json.dumps(
        {"type": "about:blank", "title": error.name, "status": 404, "detail": "No such status."}
    )
    return _private(PollAnswer(body, status=404, mimetype="application/problem+json"))


def as_json(status: TaskStatus) -> dict[str, Any]:
    """Return what a program reads about a status."""
    return {
        "id": str(status.id),
        "state": status.state.value,
        "percent": status.percent,
        "message": status.message,
        "done": status.done,
        "total": status.total,
        "error": status.error,
        "reference": status.reference,
    }


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.update(["Accept", "HX-Request", "HX-Boosted"])
    return response
