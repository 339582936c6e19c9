"""Full focus: a request that waits a moment for its task, and else a page that stands between one step and the next."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from flask import Response, abort, current_app, render_template, url_for
from itsdangerous import BadSignature
from werkzeug.exceptions import Gone, NotFound

from forktask import ConfigurationError, State, TaskStatus
from forktask.errors import StoreError
from forktask.web import access, answers, programs
from forktask.web.completion import Hook, place_after
from forktask.web.outage import note
from forktask.web.patience import wait_for_end
from forktask.web.redirects import checked_url, send_to, way_back
from forktask.web.rendering import asset_url, spoken
from forktask.web.tokens import Action, serializer, sign
from forktask.web.visitor import requester
from forktask.web.widgets import blueprint
from forktask.web.wording import clean

SALT = "forktask.focus"
LEAVE_AFTER = 10.0
"""Seconds after which the page says that one may leave, if one may."""
FINISHING_INTERVAL = 1.0
"""Seconds until a page looks again whether the hook that another one called has come back."""

NOT_KEPT = "full_focus cannot wait for {task}: with delete_on_completion nothing is left that says that it completed"


class Ways(TypedDict, total=False):
    """The other ways out of the page, and how far they may lead."""

    back_url: str
    """Where a person goes whose task did not complete; without it the page that the request came from."""
    leave_url: str
    """Where a person may go while the task runs, after a while."""
    allowed_origins: Collection[str]
    """Other sites to which the addresses may lead, as `https://shop.example`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What the page of one status has to know, in its address."""

    token: str
    """Of the status."""
    next_url: str
    back_url: str
    leave_url: str
    template: str
    hook: str
    """Registered name; empty: none."""
    origins: list[str]


def full_focus(
    status: TaskStatus,
    *,
    next_url: str,
    acceptable_wait: float = 0.5,
    template: str = "forktask/focus.html",
    on_complete: Hook | None = None,
    **ways: Unpack[Ways],
) -> Response:
    """Wait for the end of a task and send the person on; to a page that waits with them if it takes longer.

    Only a task that completed leads to `next_url`. A program, which asks for JSON, gets what `accepted` says.

    Args:
        next_url: Where a person goes on: a path of this site, or an address of `allowed_origins`.
        acceptable_wait: Seconds in which no page is shown; at most `FORKTASK_MAX_WAIT`.
        template: Of the page; one that extends `forktask/focus.html`.
        on_complete: Called once, on the server, with the completed status; where it says is where the person goes on.
            It is registered with `@forktask.on_complete`.
        **ways: `back_url`, `leave_url`, `allowed_origins`.

    Raises:
        UnsafeRedirectError: An address leads to another site.
        ConfigurationError: `on_complete` is not registered, the application has no secret key, or the status is deleted
            when it completes: then nobody could say that it did.
    """
    if status.row.delete_on_completion:
        raise ConfigurationError([NOT_KEPT.format(task=status.task)])
    step = _step(status, next_url, template, on_complete, ways)
    if answers.wants_json():
        return programs.accepted(status)
    try:
        wait_for_end(status, acceptable_wait)
        url = _place_after(status, step) if status.state is State.COMPLETED else None
    except StoreError as error:  # the task is started all the same: its page looks again
        note(error, "full_focus")
        url = None
    languages = current_app.extensions["forktask"].languages
    return send_to(url or url_for("forktask.focus", token=_sign(step), **languages.arguments()))


@blueprint.get("/focus/<token>")
def focus(token: str) -> Response:
    """Show the page of a step, or send the person on when its task completed; who may only look, to its bar.

    A program gets how the status stands, and nothing happens.
    """
    try:
        step = _read(token)
    except NotFound as error:
        if answers.wants_json():
            return answers.problem(error)
        raise
    try:
        status, grant = access.find(step.token)
    except (NotFound, Gone) as error:
        return answers.problem(error) if answers.wants_json() else _out_of_sight(step, token, error)
    if answers.wants_json():
        return programs.answer(status, grant, step.token)
    if status.state is State.COMPLETED:
        if not _may_go_on(status):
            arguments = current_app.extensions["forktask"].languages.arguments()
            return send_to(url_for("forktask.progress", token=step.token, **arguments))
        if (url := _place_after(status, step)) is not None:
            return send_to(url)
    return answers.page(render_template(step.template, **_shown(status, step, token)), state=status.state)


def _out_of_sight(step: Step, token: str, error: NotFound | Gone) -> Response:
    """Return a page that says so and shows the way back; the application's own needs a status."""
    languages = current_app.extensions["forktask"].languages
    language = languages.current()
    shown = {**spoken(language), "title": language.say("This can no longer be shown"), "step": step}
    shown["url"] = url_for("forktask.focus", token=token, **languages.arguments())
    is_gone = isinstance(error, Gone)
    body = render_template("forktask/focus_gone.html", is_gone=is_gone, asset=asset_url, **shown)
    response = answers.page(body, state="gone")
    response.status_code = error.code
    return response


def _step(status: TaskStatus, next_url: str, template: str, on_complete: Hook | None, ways: Ways) -> Step:
    origins = list(ways.get("allowed_origins", ()))
    hook = current_app.extensions["forktask"].hooks.name(on_complete) if on_complete is not None else ""
    return Step(
        token=sign(status.id),
        next_url=checked_url("next_url", next_url, origins),
        back_url=checked_url("back_url", ways.get("back_url") or way_back(), origins),
        leave_url=checked_url("leave_url", ways["leave_url"], origins) if ways.get("leave_url") else "",
        template=template,
        hook=hook,
        origins=origins,
    )


def _may_go_on(status: TaskStatus) -> bool:
    """Return True if the step is the requester's: who may only look gets no hook called and is not led on."""
    who = requester()
    return who.owns(status) or access.may(status, Action.RESULT, who)


def _place_after(status: TaskStatus, step: Step) -> str | None:
    if not step.hook:
        return step.next_url
    return place_after(status, step.hook, step.next_url, step.origins)


def _shown(status: TaskStatus, step: Step, token: str) -> dict[str, Any]:
    state = current_app.extensions["forktask"]
    since = status.finished_at or status.created_at  # of a hook: since it is under way
    waited = (datetime.now(UTC) - since).total_seconds()
    finishing = status.state is State.COMPLETED
    interval = FINISHING_INTERVAL if finishing else state.settings.poll_interval
    return {
        **spoken(state.languages.current()),
        "status": status,
        "title": clean(status.title),
        "step": step,
        "url": url_for("forktask.focus", token=token, **state.languages.arguments()),
        "phase": "finishing" if finishing else "ended" if status.is_final else "waiting",
        "refresh": max(1 if finishing else 2, round(interval)),
        "leave_in": math.ceil(max(0.0, LEAVE_AFTER - waited)),
        "asset": asset_url,
    }


def _sign(step: Step) -> str:
    return str(serializer(SALT).dumps(list(asdict(step).values())))


def _read(token: str) -> Step:
    try:
        values = serializer(SALT).loads(token)
        return Step(**dict(zip(Step.__dataclass_fields__, values, strict=True)))
    except (BadSignature, ValueError):  # forged, or of another version of ours
        abort(404)
