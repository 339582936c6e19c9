"""Who may see a status and act on it. Closed: what nobody is entitled to, nobody gets."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NoReturn

from flask import abort, current_app
from werkzeug.exceptions import Gone, NotFound

from forktask import State, StatusNotFoundError, TaskStatus
from forktask.web.tokens import ALL, Action, Grant, read
from forktask.web.visitor import Requester, requester

Permit = Callable[[TaskStatus, Action, Requester], bool]
"""Says whether somebody may do something with a status."""

POSSIBLE = {
    State.QUEUED: (Action.CANCEL, Action.PAUSE),
    State.RUNNING: (Action.CANCEL, Action.PAUSE),
    State.PAUSED: (Action.CANCEL, Action.RESUME),
    State.FAILED: (Action.RETRY,),
    State.CANCELLED: (Action.RETRY,),
    State.LOST: (Action.RETRY,),
    State.COMPLETED: (),
}
"""What can be done in each state, beside looking."""


def owner_only(status: TaskStatus, action: Action, who: Requester) -> bool:
    """Our own rule: to whom it belongs, everything; a public one may be seen by all."""
    return who.owns(status) or (action is Action.SEE and bool(status.public))


def may(status: TaskStatus, action: Action, who: Requester | None = None) -> bool:
    """Return True if somebody, by default who makes the present request, may do this."""
    permit: Permit = current_app.extensions["forktask"].permit
    return bool(permit(status, action, who or requester()))


def possible(status: TaskStatus, granted: Collection[Action] = ALL, who: Requester | None = None) -> frozenset[Action]:
    """Return what somebody, by default the present requester, can do now, of what was granted: for buttons."""
    actions = [action for action in POSSIBLE[status.state] if action in granted]
    if not status.is_final and status.cancel_requested_at is not None:
        actions = []  # it is ending
    if Action.RETRY in actions and status.row.bound:
        actions = []  # its arguments are not stored: nobody can run it again
    if not actions:
        return frozenset()
    permit, who = current_app.extensions["forktask"].permit, who or requester()
    return frozenset([action for action in actions if permit(status, action, who)])


def find(token: str, action: Action = Action.SEE) -> tuple[TaskStatus, Grant]:
    """Return the status of a token and what the token grants, or end the request.

    Raises:
        NotFound: The token is forged, expired or does not grant this, or the status is somebody else's: one answer,
            so that nobody learns which statuses there are.
        Gone: The token is right, but the status was deleted.
    """
    grant = granted(token, action)
    try:
        status = TaskStatus.get(grant.status_id)
    except StatusNotFoundError:
        refuse(Gone)
    if not may(status, action):
        refuse(NotFound)
    return status, grant


def granted(token: str, action: Action) -> Grant:
    """Return what a token stands for if it holds and grants `action`; else end the request with 404."""
    grant = read(token)
    if grant is None or grant.is_expired or action not in grant.actions:
        refuse(NotFound)
    return grant


def refuse(error: type[NotFound | Gone]) -> NoReturn:
    """End the request."""
    abort(error.code)
