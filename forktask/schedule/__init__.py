"""Recurring tasks: when they are due, what was declared, and what follows when one is due."""

from __future__ import annotations

from forktask.schedule.declaration import Declaration, Recurrence, declaration_of, declare, declared, run_options
from forktask.schedule.intervals import Interval

__all__ = ["Declaration", "Interval", "Recurrence", "declaration_of", "declare", "declared", "run_options"]
