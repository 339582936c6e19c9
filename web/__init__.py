"""Flask's side of forktask: the extension and its widgets."""

from __future__ import annotations

from forktask.web.bar import progress, status_url
from forktask.web.extension import ForkTask
from forktask.web.focus import full_focus
from forktask.web.programs import accepted
from forktask.web.redirects import UnsafeRedirectError
from forktask.web.tokens import Action
from forktask.web.visitor import Requester

__all__ = [
    "Action",
    "ForkTask",
    "Requester",
    "UnsafeRedirectError",
    "accepted",
    "full_focus",
    "progress",
    "status_url",
]
