"""One request for all bars of a page: what has changed, and when to ask again."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from flask import Response, current_app, request

from forktask import TaskStatus
from forktask.web import access
from forktask.web.answers import PollAnswer, private
from forktask.web.bar import Bar, Viewer, bar_of
from forktask.web.look import unpack
from forktask.web.rendering import render, spoken
from forktask.web.tokens import Action, Grant, read
from forktask.web.visitor import Requester

MOST: Final = 100
"""Bars in one request; beyond them nobody asked."""
NEXT_HEADER: Final = "Forktask-Next"
"""Seconds after which to ask again; absent: nothing more will happen."""

DUMPS: Final = json.JSONEncoder().encode

Entry = dict[str, Any] | None
"""What a bar shows now; None: what the browser has already."""


def poll() -> Response:
    """Answer how the statuses of some tokens stand, in their order; 304 if nothing of it is new.

    The browser names the versions that it shows, in `If-None-Match`.
    """
    asked = [(token, read(token)) for token in request.args.getlist("t")[:MOST]]
    found, viewer = _statuses(asked), Viewer.of_request(polls=True)
    return answer([_see(token, grant, found, viewer) for token, grant in asked])


def answer(seen: list[Bar | dict[str, Any]]) -> Response:
    """Return what is new of some bars."""
    known = request.headers.get("If-None-Match", "")
    entries = [_entry(one, known) for one in seen]
    if seen and not any(entries):
        response = PollAnswer(status=304, mimetype="application/json")
    else:
        response = PollAnswer(DUMPS({"bars": entries}), mimetype="application/json")
    tags = [one.tag if isinstance(one, Bar) else one["state"] for one in seen]
    tag = tags[0] if len(tags) == 1 else hashlib.sha256(repr(tags).encode()).hexdigest()[:16]
    response.headers["ETag"] = f'W/"{tag}"'
    response.headers["Forktask-State"] = "bars"
    times = [one.values["next"] for one in seen if isinstance(one, Bar) and one.values["next"] is not None]
    if times:
        response.headers[NEXT_HEADER] = f"{min(times):g}"
    return private(response, vary="Cookie")


def _statuses(asked: list[tuple[str, Grant | None]]) -> dict[Any, TaskStatus]:
    ids = [grant.status_id for _, grant in asked if grant is not None]
    if not ids:
        return {}
    runtime = current_app.extensions["forktask"].runtime
    return {row.id: TaskStatus(row, runtime) for row in runtime.find(ids=ids, limit=MOST)}


def _see(token: str, grant: Grant | None, found: dict[Any, TaskStatus], viewer: Viewer) -> Bar | dict[str, Any]:
    if grant is None or grant.is_expired or Action.SEE not in grant.actions:
        return _closed("gone")
    if (status := found.get(grant.status_id)) is None:
        return _closed("gone")
    if not access.may(status, Action.SEE, viewer.who):
        return _closed("signed-out" if needs_login(status, viewer.who) else "gone")
    return bar_of(status, token, grant.actions, unpack(grant.look), viewer)


def needs_login(status: TaskStatus, who: Requester) -> bool:
    """Return True if it is somebody's, and nobody is signed in."""
    return who.user is None and status.owner is not None


def _closed(state: str) -> dict[str, Any]:
    return {"state": state, "html": render("gone.html", **spoken()) if state == "gone" else ""}


def _entry(one: Bar | dict[str, Any], known: str) -> Entry:
    if not isinstance(one, Bar):
        return one
    if f'"{one.tag}"' in known:
        return None
    return {"state": one.status.state, "tag": one.tag, "html": one.part}
