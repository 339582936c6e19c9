"""The signed text that stands for a status in URLs: which one, what it lets do, and until when."""

from __future__ import annotations

import hashlib
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

from flask import current_app
from itsdangerous import BadSignature, Signer, URLSafeSerializer

from forktask import ConfigurationError

SALT = "forktask.status"
_SIGNER: dict[str, Any] = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
_HEAD = struct.Struct(">16sBB")
_EXPIRY = struct.Struct(">Q")


class Action(StrEnum):
    """What somebody may do with a status."""

    SEE = "see"
    """Look at it."""
    CANCEL = "cancel"
    """Ask for its end."""
    PAUSE = "pause"
    """Stop it where it is."""
    RESUME = "resume"
    """Let it go on."""
    RETRY = "retry"
    """Begin another attempt."""
    RESULT = "result"
    """Read what it returned."""


ALL = frozenset(Action) - {Action.RESULT}
"""What a token lets do unless it is said: a result may hold what was meant for the application alone."""
_BITS = {action: 1 << number for number, action in enumerate(Action)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token stands for."""

    status_id: UUID
    actions: frozenset[Action]
    expires_at: datetime | None = None
    look: bytes = b""
    """How its widget looks, for who made it."""

    @property
    def is_expired(self) -> bool:
        """True when its time is over."""
        return self.expires_at is not None and datetime.now(UTC) >= self.expires_at


def sign(
    status_id: UUID,
    actions: Collection[Action | str] = ALL,
    *,
    expires_at: datetime | None = None,
    look: bytes = b"",
) -> str:
    """Return the token of a status; the same at every call.

    Args:
        actions: What it lets do, of what its bearer may do anyway.
        look: Comes back in the grant.

    Raises:
        ConfigurationError: The application has no secret key.
    """
    bits = sum(_BITS[action] for action in {Action(one) for one in actions})
    body = _HEAD.pack(status_id.bytes, bits, expires_at is not None)
    if expires_at is not None:
        body += _EXPIRY.pack(int(expires_at.timestamp()))
    return _sign(body + look, tuple(_keys()))


@lru_cache(maxsize=1000)
def _sign(body: bytes, keys: tuple[Any, ...]) -> str:
    return _signer(keys).sign(urlsafe_b64encode(body).rstrip(b"=")).decode()


def read(token: str) -> Grant | None:
    """Return what a token stands for; None if we did not sign it."""
    try:
        return _unsign(token, tuple(_keys()))
    except BadSignature:
        return None


@lru_cache(maxsize=1000)
def _unsign(token: str, keys: tuple[Any, ...]) -> Grant:
    """Return what a token stands for: it is the same at each poll, and costs as much as reading a row.

    What is forged raises, and so is not remembered.
    """
    text = _signer(keys).unsign(token)
    body = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    raw, bits, expires = _HEAD.unpack_from(body)
    end, expires_at = _HEAD.size, None
    if expires:
        expires_at = datetime.fromtimestamp(_EXPIRY.unpack_from(body, end)[0], UTC)
        end += _EXPIRY.size
    return Grant(status_id=UUID(bytes=raw), actions=_ACTIONS[bits], expires_at=expires_at, look=body[end:])


_ACTIONS = [frozenset(action for action in Action if _BITS[action] & bits) for bits in range(1 << len(Action))]


def serializer(salt: str) -> URLSafeSerializer:
    """Return what signs JSON for addresses of another kind."""
    return URLSafeSerializer(_keys(), salt=salt, signer_kwargs=_SIGNER)


def _signer(keys: Collection[Any]) -> Signer:
    return Signer(list(keys), salt=SALT, **_SIGNER)


def _keys() -> list[Any]:
    key = current_app.secret_key
    if not key:
        raise ConfigurationError(
            ["SECRET_KEY is not set; it signs the status URLs: set app.config['SECRET_KEY'] to a long random text"]
        )
    # itsdangerous signs with the last key and accepts all.
    return [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), key]
