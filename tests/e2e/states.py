"""What the gallery shows: the widgets, and the rows in all their states."""

from __future__ import annotations

from typing import Any

from forktask import Cause, State
from forktask.sentences import sentence

LONG = "Reading the rows of a file with an unusually long name, " * 4


def steps(state: str) -> list[dict[str, str]]:
    """Return three phases, of which the second is in this state."""
    return [
        {"name": "Reading", "state": "done"},
        {"name": "Importing customers", "state": state},
        {"name": "Summary", "state": "later" if state == "now" else "done"},
    ]


RUNNING = {"state": State.RUNNING, "percent": 62.0, "message": "Importing customers"}
FAILED = {"state": State.FAILED, "percent": 62.0, "reference": "K7QX-3MFA", "cause": Cause.SIGNAL}
STATES: dict[str, dict[str, Any]] = {
    "waiting": {},
    "delayed": {"run_in": 3000},
    "again": {"run_in": 50, "attempt": 2, "max_attempts": 3},
    "long": {**RUNNING, "title": "A title " * 30, "message": LONG, "done": 123_456_789, "total": 987_654_321},
    "paused": {**RUNNING, "state": State.PAUSED, "title": "Newsletter", "percent": 80.0},
    "cancelling": {**RUNNING, "cancelled": True},
    "warned": {
        **RUNNING,
        "title": "Price list",
        "percent": 35.0,
        "message": "Comparing",
        "warnings": ["Row 7 is empty.", "Row 9 is empty."],
    },
    "counting": {
        "state": State.RUNNING,
        "percent": 60.0,
        "done": 1234,
        "unit": "files",
        "message": "Looking around",
        "title": "Photo archive",
    },
    "running": {**RUNNING, "done": 124_000, "total": 200_000, "unit": "rows", "phases": steps("now")},
    "many-steps": {
        **RUNNING,
        "title": "Move",
        "phases": [*steps("done"), *({"name": f"{n}. {LONG[: 5 * n]}", "state": "later"} for n in range(17))],
    },
    "completed": {"state": State.COMPLETED, "percent": 100.0, "message": "200 000 rows in 6 columns"},
    "completed-warned": {
        "title": "Monthly report",
        "phases": steps("done"),
        "state": State.COMPLETED,
        "percent": 100.0,
        "warnings": ["Row 7 is empty."],
    },
    "failed": {**FAILED, "title": "Invoices", "phases": steps("now"), "error": sentence(Cause.SIGNAL, number=9)},
    "cancelled": {"state": State.CANCELLED, "percent": 30.0, "cause": Cause.CANCELLED},
    "lost": {**FAILED, "state": State.LOST, "error": sentence(Cause.SUPERVISOR_GONE)},
}
WIDGETS = {
    "bar": "{{ forktask_progress(status) }}",
    "compact": "{{ forktask_progress(status, compact=true) }}",
    "plain": "{{ forktask_progress(status, buttons=false) }}",
}
