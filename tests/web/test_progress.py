"""The widget and the URL that it asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, session
from flask.testing import FlaskClient
from flask_login import LoginManager, UserMixin, login_user

from forktask import LiveStatus, State, Task, web
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import ForkTask
from tests.web.asking import poll, poll_all, rendered, tokens_of, url
from tests.web.rows import keep

FINAL = [State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST]
EVIL = "<script>alert(1)</script>\u202e" + "x" * 10_000


class Greet(Task):
    """Greet somebody."""

    def execute(self, status: LiveStatus) -> str:
        status.update(50, f"Greeting {status.settings['name']}")
        return "done"


def inner(html: str) -> str:
    """Return the part of a widget that polls replace."""
    return html[html.index('<div class="forktask-part') : html.index('<p class="forktask-note"')].strip()


def test_a_task_that_was_initiated_in_a_request_is_shown_with_its_end(app: Flask, client: FlaskClient) -> None:
    @app.post("/greet")
    def greet() -> str:
        return app.jinja_env.from_string("{{ forktask_progress(status) }}").render(
            status=Greet.initiate({"name": "Ada"})
        )

    page = client.post("/greet").text
    assert "Done" in page
    assert "Greeting Ada" in page
    assert "data-forktask-next" not in page


def test_first_value_and_polls_show_the_same(app: Flask, client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING, percent=62.5, message="Importing", done=5, total=8, unit="rows")
    page = rendered(app, status)
    assert 'value="62.5"' in page
    assert "5 of 8 rows" in page
    token = re.search('data-forktask-token="([^"]+)"', page)
    assert token
    assert poll_all(client, token[1]).get_json()["bars"][0]["html"].strip() == inner(page)
    assert poll(client, status).text.strip() == page.strip()


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_a_status_that_is_not_final_asks_for_more(client: FlaskClient, store: Store, state: State) -> None:
    page = poll(client, keep(store, state=state)).text
    assert 'data-forktask-next="1.0"' in page


@pytest.mark.parametrize("state", FINAL)
def test_a_final_status_asks_no_more(client: FlaskClient, store: Store, state: State) -> None:
    response = poll(client, keep(store, state=state))
    assert response.status_code == 200
    assert "data-forktask-next" not in response.text
    assert response.headers["Forktask-State"] == state


def test_a_failed_task_shows_its_sentence_and_reference_alone(client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.FAILED, error="Something went wrong.", reference="K7QX-3MFA", message="Sending")
    page = poll(client, status).text
    assert "Something went wrong." in page
    assert "K7QX-3MFA" in page
    assert "Sending" not in page


def test_texts_are_escaped_and_cut(client: FlaskClient, store: Store) -> None:
    status = keep(
        store,
        state=State.COMPLETED,
        title="<b>" + EVIL[:200],
        message=EVIL,
        unit=EVIL[:40],
        done=1,
        warnings=[EVIL] * 99,
    )
    page = poll(client, status).text
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert len(page) < 15_000
    assert "99 warnings" in page


def test_an_error_with_markup_is_escaped(client: FlaskClient, store: Store) -> None:
    page = poll(client, keep(store, state=State.FAILED, error=EVIL, reference='"><i>')).text
    assert "<script" not in page
    assert "<i>" not in page


def test_what_did_not_change_is_not_sent_again(client: FlaskClient, store: Store) -> None:
    status = keep(store, state=State.RUNNING, percent=10.0)
    other = keep(store, state=State.RUNNING, percent=11.0)
    first = poll(client, status)
    again = poll(client, status, **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert poll(client, other, **{"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_a_whole_page_with_what_is_the_application_s_own_is_kept_by_nobody(client: FlaskClient, store: Store) -> None:
    page = client.get(f"{url(client.application, keep(store))}", headers={"Accept": "text/html"})
    assert page.headers["Cache-Control"] == "no-store"
    assert "ETag" not in page.headers


def test_answers_are_kept_by_nobody_but_the_browser_that_asked(client: FlaskClient, store: Store) -> None:
    response = poll(client, keep(store))
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert {"Accept", "HX-Request"} <= set(response.vary)


def test_programs_get_json(client: FlaskClient, app: Flask, store: Store) -> None:
    status = keep(store, state=State.RUNNING, percent=62.5, message="Importing", done=5, total=8)
    response = client.get(url(app, status), headers={"Accept": "application/json"})
    assert response.json is not None
    known = {"id": str(status), "state": "running", "percent": 62.5, "message": "Importing", "done": 5, "total": 8}
    assert {key: response.json[key] for key in known} == known


def test_programs_get_problem_details_for_what_is_not_there(client: FlaskClient, app: Flask, store: Store) -> None:
    for address, status, title in ((url(app, new_id()), 410, "Gone"), ("/forktask/progress/x", 404, "Not Found")):
        response = client.get(address, headers={"Accept": "application/json"})
        assert response.status_code == status
        assert response.mimetype == "application/problem+json"
        assert response.get_json(force=True)["title"] == title


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true", "HX-Boosted": "true"}])
def test_people_without_javascript_get_a_page(
    client: FlaskClient, app: Flask, store: Store, headers: dict[str, str]
) -> None:
    status = keep(store, state=State.RUNNING, percent=62.5)
    page = client.get(url(app, status), headers=headers).text
    assert page.startswith("<!doctype html>")
    assert 'value="62.5"' in page
    assert '<meta http-equiv="refresh"' in page
    done = client.get(url(app, keep(store, state=State.COMPLETED)), headers=headers).text
    assert '<meta http-equiv="refresh"' not in done


def test_the_title_of_that_page_has_no_controls_and_no_end_of_it(client: FlaskClient, app: Flask, store: Store) -> None:
    status = keep(store, state=State.RUNNING, title="A\u202egnp.exe</title>\x07" + "!" * 1000)
    page = client.get(url(app, status)).text
    assert "<title>A gnp.exe&lt;/title&gt;" in page
    assert not re.search("[\u202e\x07]|!{100}", page)


def test_the_widget_links_to_that_page_for_people_without_javascript(app: Flask, store: Store) -> None:
    status = keep(store, state=State.RUNNING)
    assert re.search(rf'<noscript><a [^>]*href="{re.escape(url(app, status))}"', rendered(app, status))


def test_a_status_that_is_gone_says_so_and_asks_no_more(client: FlaskClient, store: Store) -> None:
    response = poll(client, new_id())
    assert response.status_code == 410
    assert "can no longer be shown" in response.text
    assert "data-forktask-next" not in response.text


def test_polls_do_not_prolong_a_login(app: Flask, client: FlaskClient, store: Store) -> None:
    @app.get("/login")
    def login() -> str:
        session.permanent = True
        session["user"] = "7"
        return "in"

    @app.get("/other")
    def other() -> str:
        return "page"

    client.get("/login")
    assert "Set-Cookie" in client.get("/other").headers
    assert "Set-Cookie" not in poll(client, keep(store, state=State.RUNNING)).headers
    assert "Set-Cookie" not in poll(client, new_id()).headers


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # of Flask-Login, since Python 3.12
def test_polls_do_not_prolong_a_login_that_flask_login_or_the_application_renews(
    app: Flask, client: FlaskClient, store: Store
) -> None:
    app.config["REMEMBER_COOKIE_REFRESH_EACH_REQUEST"] = True
    manager = LoginManager(app)
    user = UserMixin()
    user.id = "7"
    manager.user_loader(lambda _: user)

    @app.before_request
    def stay() -> None:
        session.permanent = True

    @app.get("/login")
    def login() -> str:
        login_user(user, remember=True)
        return "in"

    assert "remember_token" in str(client.get("/login").headers.getlist("Set-Cookie"))
    running = keep(store, state=State.RUNNING, owner="7")
    for answer in (poll(client, running), poll_all(client, *tokens_of(app, running))):
        assert answer.headers.getlist("Set-Cookie") == []
    assert len(client.get("/login").headers.getlist("Set-Cookie")) == 2


def test_what_the_application_changes_in_the_session_is_sent(app: Flask, client: FlaskClient, store: Store) -> None:
    @app.before_request
    def count() -> None:
        session["polls"] = session.get("polls", 0) + 1

    assert "Set-Cookie" in poll(client, keep(store)).headers


OURS = sorted(path.name for path in Path(web.__file__).with_name("templates").glob("forktask/*.html"))


@pytest.mark.parametrize("name", OURS)
def test_every_template_can_be_overridden(app: Flask, tmp_path: Path, name: str) -> None:
    assert app.jinja_env.get_template(f"forktask/{name}").filename
    own = tmp_path / "templates" / "forktask" / name
    own.parent.mkdir()
    own.touch()
    fresh = app.jinja_env.overlay(cache_size=0)
    assert fresh.get_template(f"forktask/{name}").filename == str(own)


def test_a_template_of_the_application_is_what_is_shown(
    app: Flask, client: FlaskClient, store: Store, tmp_path: Path
) -> None:
    own = tmp_path / "templates" / "forktask"
    own.mkdir()
    (own / "progress.html").write_text("<i>{{ status.headline }}</i>")
    status = keep(store, state=State.COMPLETED)
    assert "<i>Done</i>" in poll(client, status).text
    assert "<i>Done</i>" in rendered(app, status)


def test_nothing_in_our_pages_needs_more_than_a_strict_content_security_policy(
    client: FlaskClient, app: Flask, store: Store
) -> None:
    states: list[dict[str, Any]] = [
        {"state": state, "warnings": ["w"], "reference": "R", "error": "E"} for state in State
    ]
    for values in states:
        page = client.get(url(app, keep(store, percent=5.0, **values))).text
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|data:", page)
        assert all(tag.startswith('<script src="/forktask/static/') for tag in re.findall(r"<script[^>]*>", page))


def test_our_urls_follow_the_setting(bare: Flask, tmp_path: Path) -> None:
    bare.config.update(FORKTASK_URL_PREFIX="/jobs", FORKTASK_POLL_INTERVAL=0.25)
    ForkTask(bare)
    (tmp_path / "static" / "own.css").write_text("/* own */")
    client = bare.test_client()
    store = Store(bare.extensions["forktask"].settings.database_url)
    status = keep(store, state=State.RUNNING)
    assert url(bare, status).startswith("/jobs/progress/")
    assert 'data-forktask-next="0.25"' in poll(client, status).text
    assert 'data-forktask-poll="/jobs/progress"' in poll(client, status).text
    with client.get("/jobs/static/forktask.css") as ours, client.get("/static/own.css") as own:
        assert ours.status_code == 200
        assert own.data == b"/* own */"
    store.close()


def test_the_head_brings_htmx_only_where_it_is_wanted(app: Flask) -> None:
    with app.test_request_context():
        template = app.jinja_env.from_string("{{ forktask_head() }}|{{ forktask_head(htmx=False) }}")
        ours, theirs = template.render().split("|")
    assert "htmx.min.js" in ours
    assert "htmx" not in theirs
    assert "forktask.js" in theirs


def test_static_files_are_served_under_a_name_that_changes_with_them(client: FlaskClient, app: Flask) -> None:
    with app.test_request_context():
        head = app.jinja_env.from_string("{{ forktask_head() }}").render()
    links = re.findall(r'(?:src|href)="([^"]+)"', head)
    assert len(links) == 3
    for link in links:
        assert re.search(r"\?v=[0-9a-f]{8}$", link)
        with client.get(link) as response:
            assert response.status_code == 200
