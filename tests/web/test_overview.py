"""Global progress: what runs and one may see."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, render_template_string, request, session
from flask.testing import FlaskClient

from forktask import State, TaskStatus
from forktask.clock import now
from forktask.store import Store
from forktask.web import Action, ForkTask, Requester
from tests.web import rows
from tests.web.asking import tokens_of
from tests.web.test_programs import JSON, fits

LIVE = (State.QUEUED, State.RUNNING, State.PAUSED)
FINAL = tuple(state for state in State if state.is_final)


@pytest.fixture
def app(bare: Flask) -> Flask:
    """An application whose users say who they are; `All` may see everything, nobody sees what is hidden."""

    def permit(status: TaskStatus, action: Action, who: Requester) -> bool:
        return status.title != "Hidden" and (who.owns(status) or bool(status.public))

    ForkTask(bare, owner=lambda: request.headers.get("Who"), permit=permit)

    @bare.get("/layout")
    def layout() -> str:
        return render_template_string("<body>{{ forktask_global() }}</body>")

    return bare


def keep(store: Store, **values: Any) -> UUID:
    """Keep a row that is not public unless it is said."""
    return rows.keep(store, **{"public": 0, "started_at": now(), "finished_at": now(), **values})


def seen(client: FlaskClient, who: str = "") -> list[str]:
    """Return the titles in the order in which a program reads them."""
    headers = {**JSON, "Who": who} if who else JSON
    return [status["title"] for status in fits(client.get("/forktask/global", headers=headers), "overview")["statuses"]]


def test_ones_own_and_public_ones_that_have_not_ended_are_seen_newest_first(client: FlaskClient, store: Store) -> None:
    for number, state in enumerate(LIVE):
        keep(store, owner="Ada", state=state, title=f"mine {number}")
    keep(store, owner="Bob", title="his")
    keep(store, owner="Bob", title="everybody's", public=1)
    keep(store, owner="Ada", title="Hidden")
    keep(store, title="nobody's")
    for state in FINAL:
        keep(store, owner="Ada", state=state, title="ended")
    assert seen(client, "Ada") == ["everybody's", "mine 2", "mine 1", "mine 0"]
    assert seen(client, "Bob") == ["everybody's", "his"]
    assert seen(client) == ["everybody's"]


def test_what_this_browser_started_is_seen(app: Flask, client: FlaskClient, store: Store) -> None:
    with client.session_transaction() as kept:
        kept["forktask"] = "key"
    with app.test_request_context():
        from forktask.web.visitor import requester

        session["forktask"] = "key"
        visitor = requester().visitor
    keep(store, visitor=visitor, title="mine")
    keep(store, visitor="another", title="another's")
    assert seen(client) == ["mine"]
    assert seen(app.test_client()) == []


def test_nothing_is_shown_while_nothing_runs(client: FlaskClient, store: Store) -> None:
    page = client.get("/layout").text
    assert "<details" not in page
    assert 'data-forktask-running="0"' in page
    assert 'data-forktask-global="/forktask/global"' in page


def test_a_page_shows_what_runs_and_folds_more_than_three(client: FlaskClient, store: Store) -> None:
    for number in range(5):
        keep(store, owner="Ada", state=State.RUNNING, title=f"<b>{number}", percent=40.0)
    page = client.get("/layout", headers={"Who": "Ada"}).text
    titles = re.findall(r"<bdi>&lt;b&gt;(\d)</bdi>", page)
    assert titles == list("43210")
    first, more = page.split('<details class="forktask-global-more"')
    assert len(re.findall(r"<li ", first)) == 3
    assert len(re.findall(r"<li ", more)) == 2
    assert "2 more" in more
    assert '<span class="forktask-global-badge">5</span>' in page
    assert "5 tasks are running" in page
    assert page.count('value="40"') == 5


def test_what_waits_is_shown_after_what_runs(client: FlaskClient, store: Store) -> None:
    for state in (State.PAUSED, State.QUEUED, State.RUNNING, State.QUEUED):
        keep(store, owner="Ada", state=state, title=state.value)
    page = client.get("/layout", headers={"Who": "Ada"}).text
    assert re.findall(r"<bdi>(\w+)</bdi>", page) == ["running", "paused", "queued", "queued"]


def test_more_than_fifty_are_not_listed(client: FlaskClient, store: Store) -> None:
    for number in range(53):
        store.insert(rows.row(public=0, owner="Ada", title=str(number)))
    page = client.get("/forktask/global", headers={"Who": "Ada"}).text
    assert len(re.findall(r"<li ", page)) == 50
    assert '<span class="forktask-global-badge">50+</span>' in page


def test_those_that_ended_under_ones_eyes_say_how(client: FlaskClient, store: Store) -> None:
    ids = [keep(store, owner="Ada", state=State.RUNNING, title=name) for name in ("one", "two")]
    page = client.get("/layout", headers={"Who": "Ada"}).text
    shown = re.findall(r'data-forktask-shown="([^"]*)"', page)[0]
    assert shown.count(",") == 1

    def look(who: str = "Ada") -> str:
        return client.get("/forktask/global", query_string={"shown": shown}, headers={"Who": who}).text

    end(store, ids[0], State.COMPLETED)
    assert "1 task is running" in look()
    assert "Done" in look()
    end(store, ids[1], State.FAILED)
    assert "1 task did not complete" in look()
    assert 'data-forktask-troubles="1"' in look()
    end(store, ids[1], State.COMPLETED)
    assert "All done" in look()
    assert 'data-forktask-running="0"' in look()
    for who in ("Bob", ""):
        assert "<li " not in look(who)


def end(store: Store, status: UUID, state: State) -> None:
    order = f"UPDATE forktask_status SET state = '{state.value}' WHERE id = '{status.hex}'"
    store.database.run(lambda cursor: cursor.execute(order))


def test_a_token_that_comes_back_gets_no_more_rights_and_no_more_time(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    ended = keep(store, owner="Ada", state=State.FAILED)
    (token,) = tokens_of(app, ended, actions=["see"], expires_at=now() + timedelta(hours=1))
    page = client.get("/forktask/global", query_string={"shown": token}, headers={"Who": "Ada"}).text
    assert re.findall(r"/forktask/progress/([^\"?]*)", page) == [token]


@pytest.mark.parametrize("shown", ["", ",,,", "x" * 3000, "é\x00,<script>", "a.b,a.b"])
def test_nonsense_that_comes_back_shows_nothing(client: FlaskClient, store: Store, shown: str) -> None:
    answer = client.get("/forktask/global", query_string={"shown": shown})
    assert answer.status_code == 200
    assert "<li " not in answer.text


def test_what_did_not_change_is_not_sent_again(client: FlaskClient, store: Store) -> None:
    status = keep(store, owner="Ada", state=State.RUNNING, percent=1.0)
    first = client.get("/forktask/global", headers={"Who": "Ada"})
    again = {"Who": "Ada", "If-None-Match": first.headers["ETag"]}
    assert client.get("/forktask/global", headers=again).status_code == 304
    end(store, status, State.COMPLETED)
    assert client.get("/forktask/global", headers=again).status_code == 200


def test_a_look_is_one_statement_however_many_run(
    app: Flask, client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        keep(store, owner="Ada", state=State.RUNNING)
        keep(store, owner="Ada")
    client.get("/forktask/global", headers={"Who": "Ada"})  # who watches them is found out once
    statements: list[Any] = []
    database = app.extensions["forktask"].runtime.store.database
    run = database.run

    def counted(work: Any, **options: Any) -> Any:
        statements.append(work)
        return run(work, **options)

    monkeypatch.setattr(database, "run", counted)
    assert client.get("/forktask/global", headers={"Who": "Ada"}).text.count("<li ") == 10
    assert len(statements) == 1


def test_the_last_one_that_runs_is_found_for_a_rule_of_ones_own(app: Flask, store: Store) -> None:
    with app.app_context():
        assert TaskStatus.find_last(running=True) is None
        ids = {state: keep(store, state=state, created_at=now() - timedelta(seconds=9)) for state in State}
        newest = {False: max(ids[state] for state in FINAL), True: max(ids[state] for state in LIVE)}
        for running, status in newest.items():
            found = TaskStatus.find_last(running=running)
            assert found is not None
            assert found.id == status
        with pytest.raises(TypeError, match="state or running"):
            TaskStatus.find_last(running=True, state=State.QUEUED)
