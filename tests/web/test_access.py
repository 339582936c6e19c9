"""Who may see a status."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, render_template_string, request
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, login_user

from forktask import ConfigurationError, LiveStatus, State, Task, TaskStatus
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import Action, ForkTask, Requester
from forktask.web.tokens import SALT, sign
from tests.web.asking import poll, url
from tests.web.rows import keep


class User(UserMixin):  # type: ignore[misc]  # Flask-Login has no types
    def __init__(self, name: str) -> None:
        self.id = name


def test_a_url_is_the_same_at_every_call(app: Flask) -> None:
    status = new_id()
    assert url(app, status) == url(app, status)


@pytest.mark.parametrize("change", ["flipped", "unsigned", "more rights", "of another salt", "nothing"])
def test_invariant_9_a_forged_url_is_not_found(app: Flask, client: FlaskClient, store: Store, change: str) -> None:
    status = keep(store, state=State.RUNNING)
    good = url(app, status)
    start, _, token = good.rpartition("/")
    with app.test_request_context():
        fewer = sign(status, [Action.SEE])
        app.secret_key, kept = f"{SALT}another", app.secret_key
        other = sign(status)
        app.secret_key = kept
    forged = {
        "flipped": token[:-8] + token[-8:].swapcase(),
        "unsigned": token.rpartition(".")[0],
        "more rights": token.rpartition(".")[0] + "." + fewer.rpartition(".")[2],
        "of another salt": other,
        "nothing": "x",
    }[change]
    assert client.get(good).status_code == 200
    assert client.get(f"{start}/{forged}").status_code == 404


def test_a_url_whose_time_is_over_is_not_found(app: Flask, client: FlaskClient, store: Store) -> None:
    status, now = keep(store), datetime.now(UTC)
    with app.test_request_context():
        over, still = (sign(status, expires_at=now + timedelta(seconds=seconds)) for seconds in (-1, 60))
    assert client.get(f"/forktask/progress/{still}").status_code == 200
    assert client.get(f"/forktask/progress/{over}").status_code == 404


def test_a_status_that_was_deleted_is_gone(app: Flask, client: FlaskClient, store: Store) -> None:
    assert client.get(url(app, new_id())).status_code == 410


def test_invariant_9_a_status_with_an_owner_is_found_by_that_owner_only(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: request.headers.get("Who"))
    store = Store(bare.extensions["forktask"].settings.database_url)
    client = bare.test_client()
    mine, open_to_all = keep(store, owner="7", public=0), keep(store, owner="7", public=1)
    assert poll(client, mine, Who="7").status_code == 200
    assert poll(client, mine, Who="8").status_code == 404
    assert poll(client, mine).status_code == 404
    assert poll(client, open_to_all).status_code == 200
    store.close()


def test_invariant_9_somebody_elses_status_looks_like_a_forged_url(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    foreign = poll(client, keep(store, owner="7", public=0))
    forged = client.get("/forktask/progress/x", headers={"HX-Request": "true"})
    assert (foreign.status_code, foreign.data) == (404, forged.data)


def test_without_any_login_an_owned_status_is_found_by_nobody(client: FlaskClient, store: Store) -> None:
    assert poll(client, keep(store, owner="7", public=0)).status_code == 404


def test_an_owner_that_is_a_number_is_compared_as_text(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: 7)  # type: ignore[arg-type,return-value]  # people do
    store = Store(bare.extensions["forktask"].settings.database_url)
    assert poll(bare.test_client(), keep(store, owner="7", public=0)).status_code == 200
    store.close()


def test_flask_login_is_asked_where_it_is_used(app: Flask, client: FlaskClient, store: Store) -> None:
    manager = LoginManager(app)
    manager.user_loader(User)

    @app.get("/login/<name>")
    def login(name: str) -> str:
        login_user(User(name))
        return "in"

    mine = keep(store, owner="7", public=0)
    assert poll(client, mine).status_code == 404
    client.get("/login/8")
    assert poll(client, mine).status_code == 404
    client.get("/login/7")
    assert poll(client, mine).status_code == 200


def test_urls_survive_the_rotation_of_the_secret_key(app: Flask, client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING)
    old = url(app, status)
    app.config.update(SECRET_KEY="a newer one", SECRET_KEY_FALLBACKS=["only for tests"])
    assert client.get(old).status_code == 200
    assert url(app, status) != old
    app.config.update(SECRET_KEY_FALLBACKS=[])
    assert client.get(old).status_code == 404


def test_without_a_secret_key_the_error_says_what_to_set(app: Flask) -> None:
    app.secret_key = None
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY.*app\.config\['SECRET_KEY'\]"):
        url(app, new_id())


class Sweep(Task):
    """Sweep the floor."""

    def execute(self, status: LiveStatus) -> None:
        """Nothing to do."""


@pytest.fixture
def started(app: Flask) -> Flask:
    """The application, with a page that starts tasks."""

    @app.get("/form")
    def form() -> str:
        return render_template_string("{{ forktask_form_token() }}")

    @app.post("/start")
    def start() -> str:
        given: dict[str, Any] = request.form.to_dict()
        return " ".join(str(Sweep.initiate(given, owner=given.get("owner")).id) for _ in range(int(given["count"])))

    return app


def begin(client: FlaskClient, **form: Any) -> str:
    """Press the button; return the ids of what started."""
    return client.post("/start", data={"count": 1, **form}).text


def test_without_any_login_the_browser_that_started_a_task_sees_it_and_no_other(started: Flask) -> None:
    mine, other = started.test_client(), started.test_client()
    status = UUID(begin(mine))
    begin(other)
    assert poll(mine, status).status_code == 200
    assert poll(other, status).status_code == 404
    assert poll(started.test_client(), status).status_code == 404


def test_the_cookie_does_not_grow_with_the_tasks_that_a_browser_starts(started: Flask) -> None:
    client = started.test_client()
    begin(client)
    first = client.get_cookie("session")
    statuses = begin(client, count=500).split()
    assert first == client.get_cookie("session")
    assert first is not None
    assert len(first.value) < 120
    assert {poll(client, UUID(status)).status_code for status in (statuses[0], statuses[-1])} == {200}


def test_a_task_that_no_browser_and_no_owner_started_is_seen_by_nobody(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        closed, opened = Sweep.initiate(), Sweep.using(public=True).initiate()
    assert poll(client, closed.id).status_code == 404
    assert poll(client, opened.id).status_code == 200


def test_whoever_is_signed_in_owns_what_they_start(bare: Flask) -> None:
    ForkTask(bare, owner=lambda: request.headers.get("Who"))

    @bare.post("/start")
    def start() -> str:
        return str(Sweep.initiate().id)

    client = bare.test_client()
    status = UUID(client.post("/start", headers={"Who": "7"}).text)
    assert client.get_cookie("session") is None
    with bare.app_context():
        assert TaskStatus.get(status).owner == "7"
    assert poll(bare.test_client(), status, Who="7").status_code == 200
    assert poll(client, status).status_code == 404


def test_an_application_without_a_secret_key_starts_tasks_all_the_same(started: Flask) -> None:
    started.secret_key = None
    assert len(begin(started.test_client(), forktask_form_token="t")) == 36


def test_a_function_of_the_application_replaces_the_rule(bare: Flask) -> None:
    asked: list[tuple[Any, ...]] = []

    def permit(status: TaskStatus, action: Action, requester: Requester) -> bool:
        asked.append((status.title, action, requester.user, requester.owns(status)))
        return requester.owns(status) or requester.user == "boss"

    ForkTask(bare, owner=lambda: request.headers.get("Who"), permit=permit)
    store = Store(bare.extensions["forktask"].settings.database_url)
    client = bare.test_client()
    status = keep(store, owner="7", state=State.COMPLETED)
    assert poll(client, status, Who="7").status_code == 200
    assert poll(client, status, Who="boss").status_code == 200
    assert poll(client, status, Who="8").status_code == 404
    assert asked[0] == ("Customer import", "see", "7", True)
    assert asked[2] == ("Customer import", "see", "8", False)
    store.close()


def test_a_form_that_is_sent_twice_joins_what_the_first_one_started(started: Flask) -> None:
    client = started.test_client()
    field = re.search(r'name="(\w+)" value="([\w-]+)"', client.get("/form").text)
    assert field
    form = {field[1]: field[2]}
    first = begin(client, **form)
    assert begin(client, **form) == first
    assert begin(client) != first


def test_a_form_that_says_something_else_is_another_order(started: Flask) -> None:
    client = started.test_client()
    first = begin(client, forktask_form_token="t", amount="10", csrf_token="a")
    assert begin(client, forktask_form_token="t", amount="500", csrf_token="a") != first
    assert begin(client, forktask_form_token="t", amount="10", csrf_token="b") == first


def test_a_form_of_what_did_not_complete_is_another_try(started: Flask, store: Store) -> None:
    client = started.test_client()
    first = begin(client, forktask_form_token="t")
    store.database.run(lambda cursor: cursor.execute("UPDATE forktask_status SET state = 'failed'"))
    second = begin(client, forktask_form_token="t")
    assert second != first
    assert begin(client, forktask_form_token="t") == second


def test_a_form_that_starts_several_tasks_starts_each_once(started: Flask) -> None:
    client = started.test_client()
    first = begin(client, count=3, forktask_form_token="t")
    assert len(set(first.split())) == 3
    assert begin(client, count=3, forktask_form_token="t") == first


def test_the_form_token_of_another_browser_joins_nothing(started: Flask) -> None:
    one, other = started.test_client(), started.test_client()
    assert begin(one, forktask_form_token="t") != begin(other, forktask_form_token="t")


@pytest.mark.parametrize("login", ["nobody", "somebody"])
def test_a_form_sent_many_times_at_once_starts_one_task(started: Flask, store: Store, login: str) -> None:
    if login == "somebody":
        started.extensions["forktask"] = replace(started.extensions["forktask"], owner=lambda: "7")
    client = started.test_client()
    client.get("/form")
    cookie = client.get_cookie("session")

    def send(_: int) -> str:
        again = started.test_client()
        if cookie is not None:
            again.set_cookie("session", cookie.value)
        return begin(again, forktask_form_token="t")

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(send, range(16)))) == 1
    assert len(store.find()) == 1
