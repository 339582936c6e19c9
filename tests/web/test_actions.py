"""What a person may ask of a task, and how."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient
from flask_wtf.csrf import CSRFProtect, generate_csrf

from forktask import State, TaskStatus, registry
from forktask.rows import StatusRow, new_id
from forktask.store import Store
from forktask.web import Action, ForkTask, Requester
from forktask.web.language import Languages
from tests.web.asking import poll_all, rendered, tokens_of
from tests.web.rows import keep, watcher

OURS = {"Forktask-Request": "1"}
HERE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def open_app(app: Flask) -> Flask:
    """An application in which everybody may do everything."""
    state = app.extensions["forktask"]
    app.extensions["forktask"] = replace(state, permit=lambda status, action, requester: True)
    return app


def press(client: FlaskClient, status: UUID, action: str, **headers: str) -> Any:
    """Send what a button sends."""
    (token,) = tokens_of(client.application, status)
    return client.post(f"/forktask/progress/{token}/{action}", headers={**HERE, **headers})


def read(store: Store, status: UUID) -> StatusRow:
    row = store.get(status)
    assert row
    return row


BUTTONS = {
    State.QUEUED: {"cancel", "pause"},
    State.RUNNING: {"cancel", "pause"},
    State.PAUSED: {"cancel", "resume"},
    State.COMPLETED: set(),
    State.FAILED: {"retry"},
    State.CANCELLED: {"retry"},
    State.LOST: {"retry"},
}


@pytest.mark.parametrize("state", State)
def test_a_widget_has_the_buttons_of_its_state(open_app: Flask, store: Store, state: State) -> None:
    page = rendered(open_app, keep(store, state=state))
    assert set(re.findall(r'data-forktask-action="(\w+)"', page)) == BUTTONS[state]


def test_what_is_ending_or_cannot_be_run_again_has_no_button(open_app: Flask, store: Store) -> None:
    moment = read(store, keep(store)).created_at
    for values in ({"state": State.RUNNING, "cancel_requested_at": moment}, {"state": State.FAILED, "bound": 1}):
        assert "data-forktask-action" not in rendered(open_app, keep(store, **values))


def test_who_may_only_look_has_no_buttons(app: Flask, client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING)
    assert "data-forktask-action" not in rendered(app, status)
    assert press(client, status, "cancel").status_code == 404
    assert read(store, status).cancel_requested_at is None


def test_the_function_of_the_application_decides_on_each_button(bare: Flask) -> None:
    def permit(status: TaskStatus, action: Action, requester: Requester) -> bool:
        return action in (Action.SEE, Action.PAUSE)

    ForkTask(bare, permit=permit)
    store = Store(bare.extensions["forktask"].settings.database_url)
    status = keep(store, state=State.RUNNING)
    assert re.findall(r'data-forktask-action="(\w+)"', rendered(bare, status)) == ["pause"]
    client = bare.test_client()
    assert press(client, status, "cancel").status_code == 404
    assert press(client, status, "pause").status_code == 303
    store.close()


def test_buttons_do_what_they_say(open_app: Flask, store: Store) -> None:
    client = open_app.test_client()
    running, failed = keep(store, state=State.RUNNING), keep(store, state=State.FAILED)
    press(client, running, "pause")
    assert read(store, running).pause_requested_at
    press(client, running, "resume")
    assert read(store, running).pause_requested_at is None
    press(client, running, "cancel")
    assert read(store, running).cancel_requested_at
    press(client, failed, "retry")
    assert (read(store, failed).state, read(store, failed).attempt) == (State.QUEUED, 2)


def test_the_script_of_the_page_gets_the_bar_as_it_is_then(open_app: Flask, store: Store) -> None:
    answer = press(open_app.test_client(), keep(store), "cancel", **OURS)
    (bar,) = answer.get_json()["bars"]
    assert bar["state"] == "cancelled"
    assert "Start again" in bar["html"]


def test_what_comes_too_late_shows_how_it_stands(open_app: Flask, store: Store) -> None:
    client = open_app.test_client()
    done = keep(store, state=State.COMPLETED)
    assert press(client, done, "cancel", **OURS).get_json()["bars"][0]["state"] == "completed"
    assert press(client, done, "cancel").status_code == 303
    problem = press(client, done, "cancel", Accept="application/json")
    assert (problem.status_code, problem.mimetype) == (409, "application/problem+json")


def test_without_javascript_one_comes_back_to_the_page(open_app: Flask, store: Store) -> None:
    client = open_app.test_client()
    status = keep(store, state=State.RUNNING)
    back = press(client, status, "pause", Referer="http://localhost/imports?page=2")
    assert (back.status_code, back.location) == (303, "/imports?page=2")
    for elsewhere in ("", "http://evil.example/x", "http://localhost.evil.example/"):
        assert press(client, status, "pause", Referer=elsewhere).location.startswith("/forktask/progress/")
    assert press(client, status, "pause", Referer="http://localhost//evil.example").location == "/evil.example"


def test_what_is_under_way_already_is_told_and_not_started_again(open_app: Flask, store: Store) -> None:
    other = keep(store, state=State.RUNNING, unique_key="one at a time")
    failed = keep(store, state=State.FAILED, unique_key="one at a time")
    client = open_app.test_client()
    answers = [press(client, failed, "retry", **headers) for headers in (OURS, {"Accept": "application/json"})]
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
        assert answer.json["detail"] == "Another one like this has not ended yet."
        assert str(other) not in answer.text
    assert press(client, failed, "retry").status_code == 303
    assert read(store, failed).state is State.FAILED


def test_what_runs_in_a_batch_is_not_paused_and_the_person_reads_why(
    open_app: Flask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "batch_of", lambda name: 50)
    supervisor = watcher(store)
    one, other = (keep(store, state=State.RUNNING, supervisor_id=supervisor) for _ in range(2))
    client = open_app.test_client()
    answer = press(client, one, "pause", **OURS)
    assert (answer.status_code, answer.json["detail"]) == (409, "This runs together with others and cannot be paused.")
    answer = press(client, one, "pause", Accept="application/json")
    assert "runs in a batch with 1 other: they would stand still, too" in answer.json["detail"]
    assert read(store, one).pause_requested_at is None
    store.end_by_hand(read(store, other), State.COMPLETED, None)
    assert press(client, one, "pause", **OURS).status_code == 200
    assert read(store, one).pause_requested_at is not None


def test_what_cannot_be_run_again_is_refused(open_app: Flask, store: Store) -> None:
    bound = keep(store, state=State.FAILED, bound=1)
    answer = press(open_app.test_client(), bound, "retry", Accept="application/json")
    assert (answer.status_code, answer.mimetype) == (409, "application/problem+json")
    assert "initiate it again" in answer.json["detail"]
    assert press(open_app.test_client(), bound, "retry").status_code == 303


def test_who_signed_out_is_told_to_sign_in(app: Flask, store: Store) -> None:
    client = app.test_client()
    theirs, of_a_browser = keep(store, owner="7"), keep(store, visitor="another")
    sentences = [press(client, status, "cancel", **OURS).json["detail"] for status in (theirs, of_a_browser)]
    assert sentences == ["Please sign in again to see how this goes on.", "This task can no longer be shown."]


def test_the_script_of_the_page_is_told_what_went_wrong_in_its_language(app: Flask, store: Store) -> None:
    app.extensions["forktask"] = replace(app.extensions["forktask"], languages=Languages(app.root_path, lambda: "de"))
    client = app.test_client()
    gone, foreign = press(client, new_id(), "cancel", **OURS), press(client, keep(store), "cancel", **OURS)
    other_site = press(client, keep(store), "cancel", **OURS, **{"Sec-Fetch-Site": "cross-site"})
    assert [answer.status_code for answer in (gone, foreign, other_site)] == [410, 404, 403]
    assert {answer.mimetype for answer in (gone, foreign, other_site)} == {"application/problem+json"}
    assert gone.json["detail"] == foreign.json["detail"] == "Diese Aufgabe kann nicht mehr angezeigt werden."
    assert (
        other_site.json["detail"]
        == "Das hat nicht geklappt. Bitte laden Sie die Seite neu und versuchen Sie es noch einmal."
    )


def test_a_program_is_told_that_it_came_from_another_site(open_app: Flask, store: Store) -> None:
    cross = {"Sec-Fetch-Site": "cross-site", "Accept": "application/json"}
    answer = press(open_app.test_client(), keep(store), "cancel", **cross)
    assert (answer.status_code, answer.mimetype) == (403, "application/problem+json")
    assert answer.json["detail"] == "This request came from another site."


def test_changes_are_posts(open_app: Flask, store: Store) -> None:
    (token,) = tokens_of(open_app, keep(store))
    assert open_app.test_client().get(f"/forktask/progress/{token}/cancel").status_code == 405


@pytest.mark.parametrize("action", ["destroy", "see", ""])
def test_other_words_are_no_actions(open_app: Flask, store: Store, action: str) -> None:
    (token,) = tokens_of(open_app, keep(store))
    response = open_app.test_client().post(f"/forktask/progress/{token}/{action}", headers=HERE)
    assert response.status_code in (404, 405)


def test_an_address_that_only_lets_look_lets_nobody_act(open_app: Flask, store: Store) -> None:
    status = keep(store)
    (token,) = tokens_of(open_app, status, actions=[Action.SEE, Action.PAUSE])
    client = open_app.test_client()
    assert client.post(f"/forktask/progress/{token}/cancel", headers=HERE).status_code == 404
    assert client.post(f"/forktask/progress/{token}/pause", headers=HERE).status_code == 303


def test_what_was_deleted_is_gone(open_app: Flask, store: Store) -> None:
    client = open_app.test_client()
    assert press(client, new_id(), "cancel").status_code == 410
    assert press(client, new_id(), "cancel", Accept="application/json").mimetype == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://localhost"}, True),
        ({"Origin": "http://localhost:8000"}, False),
        ({"Origin": "http://localhost.evil.example"}, False),
        ({"Origin": "null"}, False),
        ({}, True),
    ],
)
def test_requests_of_other_sites_are_refused(
    open_app: Flask, store: Store, headers: dict[str, str], allowed: bool
) -> None:
    status = keep(store)
    (token,) = tokens_of(open_app, status)
    response = open_app.test_client().post(f"/forktask/progress/{token}/cancel", headers=headers)
    assert response.status_code == (303 if allowed else 403)
    assert (read(store, status).state is State.CANCELLED) is allowed


@pytest.mark.parametrize("by_default", [True, False])
def test_flask_wtf_decides_where_the_application_uses_it(open_app: Flask, store: Store, by_default: bool) -> None:
    open_app.config["WTF_CSRF_CHECK_DEFAULT"] = by_default
    CSRFProtect(open_app)
    status = keep(store)

    @open_app.get("/page")
    def page() -> str:
        bar = render_template_string("{{ forktask_progress(status) }}", status=TaskStatus.get(status))
        return f"{generate_csrf()}|{bar}"

    client = open_app.test_client()
    fields = re.findall(r'name="csrf_token" value="([^"]+)"', client.get("/page").text)
    (token,) = tokens_of(open_app, status)
    url = f"/forktask/progress/{token}/cancel"
    assert client.post(url, headers=HERE).status_code == 400
    assert read(store, status).state is State.QUEUED
    assert client.post(url, data={"csrf_token": fields[0]}).status_code == 303
    assert read(store, status).state is State.CANCELLED


def test_a_protection_that_is_switched_off_protects_nothing(open_app: Flask, store: Store) -> None:
    open_app.config["WTF_CSRF_ENABLED"] = False
    CSRFProtect(open_app)
    assert "csrf_token" not in rendered(open_app, keep(store))
    client = open_app.test_client()
    assert press(client, keep(store), "cancel").status_code == 303
    assert press(client, keep(store), "cancel", **{"Sec-Fetch-Site": "cross-site"}).status_code == 403


def test_the_field_against_cross_site_requests_is_sent_only_with_news(open_app: Flask, store: Store) -> None:
    CSRFProtect(open_app)
    client = open_app.test_client()
    (token,) = tokens_of(open_app, keep(store, state=State.RUNNING))
    tag = poll_all(client, token).get_json()["bars"][0]["tag"]
    assert poll_all(client, token, **{"If-None-Match": f'"{tag}"'}).status_code == 304
    with client.session_transaction() as session:
        session.clear()
    assert poll_all(client, token, **{"If-None-Match": f'"{tag}"'}).status_code == 200, "the old field is refused now"


def test_an_anonymous_visitor_may_act_on_what_this_browser_started(app: Flask, store: Store) -> None:
    @app.post("/start")
    def start() -> str:
        visitor = app.extensions["forktask"].runtime._notice("t", None).visitor
        return str(keep(store, state=State.RUNNING, public=1, visitor=visitor))

    mine, other = app.test_client(), app.test_client()
    status = UUID(mine.post("/start").text)
    assert press(other, status, "cancel").status_code == 404
    assert press(mine, status, "cancel").status_code == 303
