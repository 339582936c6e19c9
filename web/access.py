"""Who may see a status: the URL is signed, and the owner is checked when there is one."""

from __future__ import annotations

import hashlib
import importlib
from uuid import UUID

from flask import abort, current_app
from itsdangerous import BadSignature, URLSafeSerializer

from forktask import ConfigurationError, StatusNotFoundError, TaskStatus

SALT = "forktask.status"


def sign(status_id: UUID) -> str:
    """Return the token that stands for a status in URLs; the same at every call.

    Raises:
        ConfigurationError: The application has no secret key.
    """
    return str(_serializer().dumps(status_id.hex))


def find(token: str) -> TaskStatus:
    """Return the status behind a token, or end the request with 404.

    An unknown, a forged and somebody else's token get the same answer, so that nobody learns which ids exist.
    """
    try:
        status = TaskStatus.get(UUID(_serializer().loads(token)))
    except (BadSignature, StatusNotFoundError):
        abort(404)
    if status.owner is not None and status.owner != requester():
        abort(404)
    return status


def requester() -> str | None:
    """Return who makes the present request; None if nobody is signed in."""
    owner = current_app.extensions["forktask"].owner
    if owner is not None:
        return _text(owner())
    if hasattr(current_app, "login_manager"):  # set by Flask-Login's LoginManager.init_app
        return _text(importlib.import_module("flask_login").current_user.get_id())
    return None


def _text(owner: object) -> str | None:
    return None if owner is None else str(owner)


def _serializer() -> URLSafeSerializer:
    key = current_app.secret_key
    if not key:
        raise ConfigurationError(
            ["SECRET_KEY is not set; it signs the status URLs: set app.config['SECRET_KEY'] to a long random text"]
        )
    # itsdangerous signs with the last key and accepts all.
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), key]
    return URLSafeSerializer(keys, salt=SALT, signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256})
