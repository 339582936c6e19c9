"""One status as one person sees it: the values that its templates show."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from urllib.parse import quote

from flask import current_app, request, session, url_for
from markupsafe import Markup
from typing_extensions import Unpack

from forktask import State, TaskStatus
from forktask.web import access, tokens
from forktask.web.crosssite import csrf_field
from forktask.web.language import Language, Languages
from forktask.web.look import Look, LookOptions, look_of
from forktask.web.rendering import render, spoken
from forktask.web.tokens import ALL, Action
from forktask.web.visitor import Requester, requester
from forktask.web.wording import Wording, describe

log = logging.getLogger("forktask.web")

RENEWED = 900
"""Seconds after which a form's token against cross-site requests is sent anew."""


TEXTS = attrgetter(*(item.name for item in fields(Wording)))
"""Of a status, all that a template shows."""
AS_IS = "/!$&'()*+,;=:@"
"""What stands in a path unquoted (RFC 3986, 3.3), beside letters, digits and `-._~`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Who looks, and from where: the same for all bars of one request."""

    who: Requester
    language: Language
    now: datetime
    poll: str
    """The address that the bars ask."""

    @classmethod
    def of_request(cls, *, polls: bool = False) -> Viewer:
        """Return who makes the present request.

        Args:
            polls: It is a poll, so that its own address is the one; building it costs as much as reading the row.
        """
        languages: Languages = current_app.extensions["forktask"].languages
        language = languages.current()
        carried = languages.arguments(language)
        if polls and not carried and not current_app.url_default_functions:
            poll = quote(request.root_path + request.path, safe=AS_IS)
        else:
            poll = url_for("forktask.poll", **carried)
        return cls(who=requester(), language=language, now=datetime.now(UTC), poll=poll)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A status, the token under which it is shown, and how."""

    status: TaskStatus
    token: str
    values: dict[str, Any]
    tag: str
    """Changes with anything that is shown."""

    @property
    def part(self) -> Markup:
        """What polls replace."""
        return render("part.html", **self.values)

    @property
    def frame(self) -> Markup:
        """What stands in the page."""
        return render("frame.html", **self.values)


def progress(status: TaskStatus, **options: Unpack[LookOptions]) -> Markup:
    """Return a bar that shows `status`, follows it, and says how it ended.

    For templates, as `forktask_progress`, and as an answer to a request by htmx or a script: `return progress(status)`.
    For somebody who may not see the status it says only that.
    """
    look = look_of(options)
    if not access.may(status, Action.SEE):
        if status.owner is None and status.visitor is None:
            log.warning("id=%s: nobody may see it; it was started outside a request, without owner=", status.id)
        return render("closed.html", **spoken())
    granted = ALL if look.buttons else frozenset({Action.SEE})
    token = tokens.sign(status.id, granted, look=look.pack())
    return bar_of(status, token, granted, look).frame


def status_url(
    status: TaskStatus, *, actions: Collection[Action | str] = ALL, lifetime: timedelta | None = None
) -> str:
    """Return the address of a status: for `forktask.watch` of a script, a program, a link in a mail.

    It opens nothing to who may not see the status.

    Args:
        actions: What it lets do, of what its reader may do anyway.
        lifetime: After which it is not found; None: as long as the status is there.
    """
    expires_at = None if lifetime is None else datetime.now(UTC) + lifetime
    languages: Languages = current_app.extensions["forktask"].languages
    token = tokens.sign(status.id, actions, expires_at=expires_at)
    return url_for("forktask.progress", token=token, **languages.arguments())


def bar_of(status: TaskStatus, token: str, granted: frozenset[Action], look: Look, viewer: Viewer | None = None) -> Bar:
    """Return a status as somebody, by default who makes the present request, sees it."""
    state = current_app.extensions["forktask"]
    viewer = viewer or Viewer.of_request()
    language, now = viewer.language.with_texts(look.texts), viewer.now
    wording = describe(status, now, lambda: state.runtime.is_full, language, look.hidden)
    actions = access.possible(status, granted, viewer.who) if look.buttons else frozenset()
    csrf = csrf_field() if actions else None
    # Texts of the templates themselves depend on the language alone; the field against cross-site requests ages.
    age = csrf and (int(now.timestamp() // RENEWED), session.get(csrf[0]))
    seen = (token, language.code, *TEXTS(wording), sorted(actions), age)
    tag = hashlib.sha256(repr(seen).encode()).hexdigest()[:16]
    path, mark, arguments = viewer.poll.partition("?")
    query = mark + arguments
    next_poll = None if status.is_final else next_look(status, look, now)
    values = {
        "status": wording,
        "token": token,
        "look": look,
        "actions": actions,
        "csrf": csrf,
        "tag": tag,
        "path": (own := f"{path}/{token}"),
        "query": query,
        "url": own + query,
        "poll": viewer.poll,
        "next": next_poll,
        "refresh": max(2, round(next_poll or 0)),
        "action_url": lambda action: f"{own}/{action}{query}",
        **spoken(language),
    }
    return Bar(status=status, token=token, values=values, tag=tag)


def next_look(status: TaskStatus, look: Look, now: datetime) -> float:
    """Return after how many seconds its widget asks again."""
    state = current_app.extensions["forktask"]
    since = status.created_at if status.state is State.QUEUED else status.started_at or status.created_at
    age = max(0.0, (now - since).total_seconds())
    return round((look.interval or state.settings.poll_interval) * float(state.poll_curve(age)), 3)
