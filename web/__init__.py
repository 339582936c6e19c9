"""Flask's side of forktask: the extension and its widgets."""

from __future__ import annotations

from forktask.web.extension import ForkTask

__all__ = ["ForkTask"]
