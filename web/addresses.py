"""Every address that forktask serves: importing this module puts them on the blueprint."""

from __future__ import annotations

from forktask.web import focus, overview
from forktask.web.widgets import blueprint

__all__ = ["blueprint", "focus", "overview"]
