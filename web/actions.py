"""What a person may ask of a task: cancel, pause, resume, retry. Each is a POST."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Response, current_app, redirect, request, url_for
from werkzeug.exceptions import Conflict, Forbidden, Gone, HTTPException, NotFound
from werkzeug.wrappers import Response as AnyResponse

from forktask import StateError, StatusNotFoundError, TaskStatus
from forktask.errors import BatchError, DuplicateError, LaunchError
from forktask.web import access, answers, polling, programs
from forktask.web.bar import bar_of
from forktask.web.crosssite import refuse_cross_site
from forktask.web.language import mark
from forktask.web.look import unpack
from forktask.web.tokens import Action, Grant
from forktask.web.visitor import requester

VERBS: dict[Action, Callable[[TaskStatus], TaskStatus]] = {
    Action.CANCEL: TaskStatus.cancel,
    Action.PAUSE: TaskStatus.pause,
    Action.RESUME: TaskStatus.resume,
    Action.RETRY: TaskStatus.retry,
}

ANOTHER = mark("Another one like this has not ended yet.")
"""Of a task that is unique."""
TOGETHER = mark("This runs together with others and cannot be paused.")
"""Of a batch."""


def act(token: str, action: str) -> AnyResponse:
    """Do what was asked; answer the widget, a program, or send a person back to the page.

    What comes too late (the task has just ended) is no error for a person: the page shows how it stands.
    """
    verb = Action(action)
    try:
        refuse_cross_site()
        status, grant = access.find(token, verb)
    except (Forbidden, NotFound, Gone) as error:
        if answers.is_our_script():
            return answers.problem(error, _sentence(error, token, verb))
        if answers.wants_json():
            return answers.problem(error)
        raise
    refused = _refused(verb, status)
    if answers.is_our_script():
        if isinstance(refused, (DuplicateError, BatchError)):
            return answers.problem(Conflict(), _say(ANOTHER if isinstance(refused, DuplicateError) else TOGETHER))
        return polling.answer([bar_of(status.refresh(), token, grant.actions, unpack(grant.look))])
    if answers.wants_json():
        return _for_programs(status, grant, token, refused)
    return redirect(_back(token), 303)


def _sentence(error: HTTPException, token: str, verb: Action) -> str:
    """Return what the person reads below the bar whose button was pressed; the next poll says no other."""
    if isinstance(error, Forbidden):
        return _say(mark("That did not work. Please reload the page and try again."))
    if isinstance(error, NotFound) and _needs_login(token, verb):
        return _say(mark("Please sign in again to see how this goes on."))
    return _say(mark("This task can no longer be shown."))


def _say(text: str) -> str:
    return str(current_app.extensions["forktask"].languages.current().say(text))


def _needs_login(token: str, verb: Action) -> bool:
    try:
        return polling.needs_login(TaskStatus.get(access.granted(token, verb).status_id), requester())
    except (NotFound, StatusNotFoundError):
        return False


def _refused(verb: Action, status: TaskStatus) -> StateError | LaunchError | None:
    try:
        VERBS[verb](status)
    except (StateError, LaunchError) as error:
        return error
    return None


def _for_programs(status: TaskStatus, grant: Grant, token: str, refused: StateError | LaunchError | None) -> Response:
    if refused is None:
        return programs.answer_json(programs.as_json(status, grant.actions, token), status.state)
    # The error names the other one, which may be somebody else's.
    return answers.problem(Conflict(ANOTHER if isinstance(refused, DuplicateError) else str(refused)))


def _back(token: str) -> str:
    """Return the page of ours where the button was pressed."""
    came_from = urlsplit(request.referrer or "")
    if came_from.netloc == request.host and came_from.path:
        return came_from._replace(scheme="", netloc="", path="/" + came_from.path.lstrip("/")).geturl()
    arguments = current_app.extensions["forktask"].languages.arguments()
    return url_for("forktask.progress", token=token, **arguments)
