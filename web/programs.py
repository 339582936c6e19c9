"""For programs: a status as JSON, answers to a start, and how long a program is ready to wait (RFC 7240)."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any

from flask import Response, current_app, request, url_for

from forktask import State, TaskStatus
from forktask.web import access, answers
from forktask.web.patience import MOST_OF_PROGRAMS, wait_for_end
from forktask.web.tokens import ALL, Action, Grant, sign

WAIT = re.compile(r'^\s*wait\s*=\s*"?(\d{1,9})"?\s*$', re.IGNORECASE)
GIVEN = ("percent", "message", "done", "total", "unit", "remaining", "error", "reference", "attempt", "max_attempts")
TIMES = ("run_after", "created_at", "started_at", "finished_at")


def accepted(status: TaskStatus, *, result: bool = False) -> Response:
    """Return the answer to a program that started a task: 202, and where to ask how it stands.

    A program that sends `Prefer: wait=10` is ready to wait so many seconds, at most `FORKTASK_MAX_WAIT`; if the task
    has ended by then the answer is 200 with how it ended. docs/status.schema.json says what is in it.

    Args:
        result: Let the program read what the task returned.
    """
    waited = _wait_as_preferred(status)
    actions = ALL | {Action.RESULT} if result else ALL
    url = url_for("forktask.progress", token=sign(status.id, actions))
    response = answers.private(Response(_dumps(as_json(status, actions)), mimetype="application/json"))
    response.status_code = 200 if status.is_final else 202
    response.headers["Content-Location" if status.is_final else "Location"] = url
    return _with_advice(response, status, waited)


def answer(status: TaskStatus, grant: Grant, token: str) -> Response:
    """Return how a status stands, as JSON, as soon as the program prefers."""
    waited = _wait_as_preferred(status)
    return _with_advice(answer_json(as_json(status, grant.actions, token), status.state), status, waited)


def answer_json(shown: dict[str, Any], state: str) -> Response:
    """Return JSON, or 304 where the program has it already."""
    return answers.answer(lambda: _dumps(shown), shown=shown, state=state, mimetype="application/json")


def as_json(status: TaskStatus, actions: frozenset[Action] = ALL, token: str | None = None) -> dict[str, Any]:
    """Return what a program reads about a status.

    Args:
        actions: What it may do, as far as the requester may.
        token: By which it asked: its addresses lead no further than that. None: it may have one for `actions`.
    """
    found: dict[str, Any] = {"id": str(status.id), "title": status.title, "state": status.state.value}
    found |= {"is_final": status.is_final, "warnings": [str(text) for text in status.warnings or []]}
    found["phases"] = status.phases or []
    found |= {name: getattr(status, name) for name in GIVEN}
    found |= {name: _time(getattr(status, name)) for name in TIMES}
    token = token or sign(status.id, actions)
    own = url_for("forktask.progress", token=token)
    found["links"] = {"self": own}
    path, mark, arguments = own.partition("?")  # of defaults that the application adds
    for action in sorted(access.possible(status, actions)):
        found["links"][action.value] = f"{path}/{action.value}{mark}{arguments}"
    if Action.RESULT in actions and status.state is State.COMPLETED and access.may(status, Action.RESULT):
        found["result"] = status.result
    return found


def preferred_wait() -> int | None:
    """Return the seconds of `Prefer: wait=…`; the first one counts."""
    for header in request.headers.getlist("Prefer"):
        for preference in header.split(","):
            if found := WAIT.match(preference.partition(";")[0]):
                return int(found[1])
    return None


def _wait_as_preferred(status: TaskStatus) -> int | None:
    """Wait as long as the program prefers; return the seconds that were granted, None if it said nothing."""
    preferred = preferred_wait()
    if preferred is None:
        return None
    return math.floor(wait_for_end(status, preferred, most=MOST_OF_PROGRAMS))


def _with_advice(response: Response, status: TaskStatus, waited: int | None) -> Response:
    """Say which preference was honoured, and when to ask again."""
    response.vary.add("Prefer")
    if waited:
        response.headers["Preference-Applied"] = f"wait={waited}"
    if not status.is_final:
        response.headers["Retry-After"] = str(math.ceil(current_app.extensions["forktask"].settings.poll_interval))
    return response


def _dumps(shown: dict[str, Any]) -> str:
    return str(current_app.json.dumps(shown))


def _time(moment: datetime | None) -> str | None:
    """Return UTC as RFC 3339 writes it."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
