"""Who makes a request: a user whom the application knows by name, or a browser that is known again."""

from __future__ import annotations

import hashlib
import importlib
import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache

from flask import current_app, g, has_request_context, request, session
from flask.sessions import NullSession

from forktask import TaskStatus
from forktask.web.once import RepeatedKeyError, content_hash

SESSION_KEY = "forktask"
"""Holds one random text, however many tasks this browser starts."""
FORM_FIELD = "forktask_form_token"
"""Says that a form is the same order as one before it with the same fields."""
ONCE_HEADER = "Idempotency-Key"
"""What says the same of a request of a program (draft-ietf-httpapi-idempotency-key-header)."""
ALONE = "_forktask_alone"
"""In `g`: what keeps threads of ours out of the way while a task is forked from this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who makes the present request.

    Attributes:
        user: As the application names its users; None: nobody is signed in.
        visitor: Hash of what only this browser has; None: it never started anything here.
    """

    user: str | None
    visitor: str | None

    def owns(self, status: TaskStatus) -> bool:
        """Return True if it is theirs: of the user who is signed in, or, without an owner, started by this browser."""
        if status.owner is not None:
            return status.owner == self.user
        return status.visitor is not None and status.visitor == self.visitor


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a call of `initiate` comes from."""

    owner: str | None = None
    visitor: str | None = None
    once_key: str | None = None
    once_content: str | None = None
    alone: Callable[[], AbstractContextManager[object]] = nullcontext

    def join(self, once_content: str | None) -> None:
        """Refuse the status of an earlier request with the same key and another content."""
        if None not in (self.once_content, once_content) and self.once_content != once_content:
            raise RepeatedKeyError


def requester() -> Requester:
    """Return who makes the present request."""
    key = session.get(SESSION_KEY)
    return Requester(user=_user(), visitor=_hash(key) if isinstance(key, str) else None)


def notice(task: str, owner: str | None) -> Origin | None:
    """Return where a call comes from, if a request is under way: forktask asks at each `initiate`."""
    if not has_request_context():
        return None
    user = _user()
    owner = user if owner is None else owner
    visitor = _visitor() if owner is None else None
    token, key = request.form.get(FORM_FIELD), request.headers.get(ONCE_HEADER)
    if token:  # a changed form is another order
        fields = content_hash(FORM_FIELD, current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"))
        once_key, once_content = _once_key(user or _visitor(), task, token, fields), None
    elif key:  # a changed body is a fault
        once_key, once_content = _once_key(user or _visitor(), task, key), content_hash()
    else:
        once_key, once_content = None, None
    alone = g.get(ALONE, nullcontext)
    return Origin(owner=owner, visitor=visitor, once_key=once_key, once_content=once_content, alone=alone)


def new_form_token() -> str:
    """Return a token for one form; whoever gets it is known again when the form comes back."""
    if _user() is None:
        _visitor()
    return secrets.token_urlsafe(16)


def _once_key(who: str | None, task: str, *said: str) -> str | None:
    if who is None:
        return None
    # One form may start several: the second request goes through them in the same order.
    counts: dict[str, int] = g.setdefault("_forktask_started", {})
    counts[task] = counts.get(task, 0) + 1
    # Two routes may start the same task for different ends.
    place = request.root_path + request.path
    return hashlib.sha256(repr((who, place, said, task, counts[task])).encode()).hexdigest()


def _user() -> str | None:
    owner = current_app.extensions["forktask"].owner
    if owner is not None:
        return _text(owner())
    if hasattr(current_app, "login_manager"):  # set by Flask-Login's LoginManager.init_app
        return _text(importlib.import_module("flask_login").current_user.get_id())
    return None


def _visitor() -> str | None:
    """Return the hash of this browser's key, which it gets if it has none."""
    if isinstance(session._get_current_object(), NullSession):  # type: ignore[attr-defined]  # a proxy; no secret key
        return None
    key = session.get(SESSION_KEY)
    if not isinstance(key, str):
        key = session[SESSION_KEY] = secrets.token_urlsafe(16)
    return _hash(key)


@lru_cache(maxsize=1000)
def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _text(owner: object) -> str | None:
    return None if owner is None else str(owner)
