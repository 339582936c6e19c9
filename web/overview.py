"""Global progress: what runs anywhere in the application and this person may see, in a corner of every page."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from flask import Response, current_app, request, url_for
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from forktask import State, TaskStatus
from forktask.errors import StoreError
from forktask.web import access, answers, programs
from forktask.web.language import Language
from forktask.web.outage import note
from forktask.web.rendering import asset_url, render, spoken
from forktask.web.tokens import Action, read, sign
from forktask.web.visitor import requester
from forktask.web.widgets import blueprint
from forktask.web.wording import Wording, describe

MOST = 50
"""Tasks that are listed; with more the badge says `50+`."""
MOST_ENDED = 10
"""Of those that ended under the eyes of the person, the newest so many stay until all are done."""
FIRST = 3
"""Tasks that are seen without unfolding."""
BUSY, IDLE = 2, 10
"""Poll intervals between looks while something runs, and to the first one after that; then it doubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One task in the list."""

    token: str
    url: str
    wording: Wording


@blueprint.app_template_global()
def forktask_global() -> Markup:
    """Return a corner of the page that shows what runs and this person may see; nothing while nothing runs.

    Nor while the database is away: that is no reason to show no page.
    """
    try:
        running = _running()
    except StoreError as error:
        note(error, "forktask_global")
        running = []
    return render("global.html", **_shown(running, []))


@blueprint.get("/global")
def overview() -> Response:
    """Answer what runs; with those that ended, of which the page says that it showed them."""
    running = _running()
    ids = {status.id for status in running}
    ended = _known(request.args.get("shown", ""), ids)
    if answers.wants_json():
        return programs.answer_json({"statuses": [programs.as_json(status) for status in running]}, "overview")
    values = _shown(running, ended)
    depends = (values["language"].code, [item.wording for item in values["items"]], len(running))
    return answers.answer(lambda: render("global_part.html", **values), shown=depends, state="overview")


def _running() -> list[TaskStatus]:
    """Return what runs or waits and the requester may see, newest first."""
    runtime = current_app.extensions["forktask"].runtime
    who = requester()
    rows = runtime.find(seen_by=(who.user, who.visitor), limit=MOST + 1)
    return [status for row in rows if access.may(status := TaskStatus(row, runtime), Action.SEE, who)]


def _known(shown: str, running: Collection[UUID]) -> list[tuple[str, TaskStatus]]:
    """Return the tokens that the page sent back with their statuses, without those that are running or gone."""
    grants = {token: read(token) for token in shown.split(",")[: MOST + MOST_ENDED]}
    found: list[tuple[str, TaskStatus]] = []
    for token, grant in grants.items():
        if grant is None or grant.status_id in running or len(found) == MOST_ENDED:
            continue
        with suppress(HTTPException):
            found.append((token, access.find(token)[0]))
    return found


def _shown(running: Sequence[TaskStatus], ended: Sequence[tuple[str, TaskStatus]]) -> dict[str, Any]:
    state = current_app.extensions["forktask"]
    language = state.languages.current()
    waiting_last = sorted(running[:MOST], key=lambda status: status.state is State.QUEUED)
    items = [_item(sign(status.id), status, language) for status in waiting_last]
    items += [_item(token, status, language) for token, status in ended]
    troubles = sum(item.wording.state is not State.COMPLETED for item in items[min(len(running), MOST) :])
    return {
        **spoken(language),
        "items": items,
        "first": FIRST,
        "count": f"{MOST}+" if len(running) > MOST else str(len(running)),
        "running": len(running),
        "troubles": troubles,
        "spoken": _headline(len(running), troubles, language) if items else "",
        "url": url_for("forktask.overview", **state.languages.arguments()),
        "interval": (BUSY if running else IDLE) * state.settings.poll_interval,
        "asset": asset_url,
    }


def _item(token: str, status: TaskStatus, language: Language) -> Item:
    state = current_app.extensions["forktask"]
    return Item(
        token=token,
        url=url_for("forktask.progress", token=token, **state.languages.arguments()),
        wording=describe(status, datetime.now(UTC), language=language),
    )


def _headline(running: int, troubles: int, language: Language) -> str:
    if running:
        return language.say_many("{count} task is running", "{count} tasks are running", running)
    if troubles:
        return language.say_many("{count} task did not complete", "{count} tasks did not complete", troubles)
    return language.say("All done")
