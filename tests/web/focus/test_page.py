"""The page between two steps: to whom it opens, and what it sends."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from flask import Flask, session

from forktask import State
from forktask.clock import now
from forktask.rows import new_id
from forktask.store import Store
from forktask.web.focus import SALT
from forktask.web.tokens import serializer
from tests.web.focus.site import HTMX, Site, mine

JSON = {"Accept": "application/json"}


def test_an_address_of_another_version_is_not_found(site: Site, bare: Flask, store: Store) -> None:
    with bare.app_context():
        token = serializer(SALT).dumps(["only", "two"])
    assert site.client.get(f"/forktask/focus/{token}").status_code == 404


def test_the_title_of_the_page_has_no_controls(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0}
    page = site.client.get(site.step(mine(store, title="A\u202egnp.exe"), Who="Ada"), headers={"Who": "Ada"})
    assert "\u202e" not in page.text


def test_htmx_is_sent_on_by_ascii(site: Site) -> None:
    site.options["next_url"] = "/日本"
    answer = site.client.post("/pay", headers=HTMX)
    assert answer.headers["HX-Redirect"] == "/%E6%97%A5%E6%9C%AC"


def test_who_may_only_look_calls_no_hook_and_is_not_led_on(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook, "acceptable_wait": 0}
    status = mine(store, public=1)
    url = site.step(status, Who="Ada")
    assert "Please wait" in site.client.get(url, headers={"Who": "Eve"}).text
    store.database.run(lambda cursor: cursor.execute("UPDATE forktask_status SET state = 'completed'"))
    answer = site.client.get(url, headers={"Who": "Eve"})
    assert answer.headers["Location"].startswith("/forktask/progress/")
    assert site.client.get(answer.headers["Location"], headers={"Who": "Eve"}).status_code == 200
    assert site.paid == []
    assert site.client.get(url, headers={"Who": "Ada"}).headers["Location"] == "/hook"
    assert site.paid == [status]


def test_the_page_prolongs_no_login(site: Site, bare: Flask, store: Store) -> None:
    @bare.before_request
    def stay() -> None:
        session.permanent = True
        session["user"] = "7"

    site.options |= {"acceptable_wait": 0}
    answer = site.pay(mine(store), Who="Ada")
    assert "Set-Cookie" in answer.headers
    assert "Set-Cookie" not in site.client.get(answer.headers["Location"], headers={"Who": "Ada"}).headers


def test_a_status_that_was_deleted_says_so_and_shows_the_way_back(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0, "back_url": "/cart", "template": "wait.html"}
    url = site.step(mine(store), Who="Ada")
    store.database.run(lambda cursor: cursor.execute("DELETE FROM forktask_status"))
    answer = site.client.get(url, headers={"Who": "Ada"})
    assert answer.status_code == 410
    assert "<h1>This can no longer be shown</h1>" in answer.text
    assert "It was deleted meanwhile" in answer.text
    assert '<a href="/cart">Go back</a>' in answer.text
    assert 'http-equiv="refresh"' not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_somebody_elses_status_shows_the_way_back_and_nothing_of_it(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0, "back_url": "/cart"}
    status = mine(store, title="A secret")
    url = site.step(status, Who="Ada")
    answer = site.client.get(url, headers={"Who": "Bob"})
    assert answer.status_code == 404
    assert "sign in again" in answer.text
    assert f'<a href="{url}">Try again</a>' in answer.text
    assert '<a href="/cart">Go back</a>' in answer.text
    assert "A secret" not in answer.text


def test_what_is_out_of_sight_is_not_shown_by_a_page_of_the_application(site: Site, bare: Flask, store: Store) -> None:
    own = Path(bare.root_path, "templates", "forktask", "focus.html")
    own.parent.mkdir(parents=True)
    own.write_text("{{ status.title }}: wait.")
    site.options |= {"acceptable_wait": 0}
    url = site.step(mine(store, title="Payment"), Who="Ada")
    assert site.client.get(url, headers={"Who": "Ada"}).text == "Payment: wait."
    assert site.client.get(url, headers={"Who": "Bob"}).status_code == 404


def test_a_program_gets_json_and_nothing_happens(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0, "on_complete": site.hook}
    url = site.step(mine(store), Who="Ada")
    store.database.run(lambda cursor: cursor.execute("UPDATE forktask_status SET state = 'completed'"))
    answer = site.client.get(url, headers={"Who": "Ada", **JSON})
    assert (answer.status_code, answer.get_json()["state"]) == (200, "completed")
    assert site.paid == []


def test_a_program_gets_problem_details(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0}
    url = site.step(mine(store), Who="Ada")
    store.database.run(lambda cursor: cursor.execute("DELETE FROM forktask_status"))
    other = site.step(mine(store), Who="Ada")
    for address, code in ((url, 410), (other, 404), ("/forktask/focus/forged", 404)):
        answer = site.client.get(address, headers={"Who": "Bob", **JSON})
        assert (answer.status_code, answer.mimetype) == (code, "application/problem+json")
        assert answer.get_json()["status"] == code


def test_while_the_hook_runs_one_may_leave_a_while_after_the_end(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook, "leave_url": "/orders"}
    status = mine(store, state=State.COMPLETED, created_at=now() - timedelta(seconds=60), finished_at=now())
    name = f"{site.hook.__module__}.{site.hook.__qualname__}"
    store.begin_completion(status, name, new_id(), patience=300)
    page = site.client.get(site.step(status, Who="Ada"), headers={"Who": "Ada"}).text
    assert "Almost there" in page
    assert 'data-forktask-leave-in="10" hidden' in page
