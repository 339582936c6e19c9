"""Full focus: the request that waits, and the page that stands between two steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from flask import Flask, url_for

from forktask import ConfigurationError, State, TaskStatus
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import UnsafeRedirectError, completion, full_focus
from tests.web.focus.site import HTMX, Site, mine


def test_a_task_that_completed_leads_on_at_once(site: Site) -> None:
    answer = site.pay()
    assert (answer.status_code, answer.headers["Location"]) == (303, "/thanks")
    answer = site.client.post("/pay", headers=HTMX)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (200, "/thanks")


def test_a_task_that_failed_leads_to_the_page_and_never_on(site: Site) -> None:
    site.options["on_complete"] = site.hook
    answer = site.client.post("/pay", data={"fails": "1"}, headers={"Referer": "http://localhost/cart"})
    page = site.client.get(answer.headers["Location"])
    assert page.status_code == 200
    assert "The bank said no." in page.text
    assert re.search(r'<a [^>]*href="http://localhost/cart"[^>]*>Go back</a>', page.text)
    assert "/thanks" not in page.text
    assert site.paid == []


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_a_task_that_goes_on_leads_to_the_page_which_goes_on_at_its_end(site: Site, store: Store, state: State) -> None:
    site.options |= {"acceptable_wait": 0, "leave_url": "/orders"}
    status = mine(store, state=state)
    url = site.step(status, Who="Ada")
    page = site.client.get(url, headers={"Who": "Ada"})
    assert page.headers["Cache-Control"] == "no-store"
    assert 'data-forktask-focus="waiting"' in page.text
    assert f'data-forktask-status="{status}"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert "Go back" not in page.text
    assert re.search(r'<p class="forktask-focus-leave" data-forktask-leave-in="10" hidden>', page.text)
    answer = site.client.post("/pay", data={"status": str(status)}, headers={"Who": "Ada", **HTMX})
    assert answer.headers["HX-Redirect"] == url


@pytest.mark.parametrize(
    ("state", "heading"),
    [
        (State.FAILED, "This did not work"),
        (State.CANCELLED, "Cancelled"),
        (State.LOST, "We do not know how this ended"),
    ],
)
def test_an_end_that_is_none_says_what_happened(site: Site, store: Store, state: State, heading: str) -> None:
    site.options |= {"back_url": "/cart"}
    status = mine(store, state=state, error="No.", reference="K7QX-3MFA")
    page = site.client.get(site.step(status, Who="Ada"), headers={"Who": "Ada"}).text
    assert f"<h1>{heading}</h1>" in page
    assert 'href="/cart"' in page
    assert 'http-equiv="refresh"' not in page
    assert ("K7QX-3MFA" in page) is (state is not State.CANCELLED)


def test_the_page_of_a_task_that_completed_leads_on(site: Site, store: Store) -> None:
    site.options["acceptable_wait"] = 0
    running = mine(store)
    url = site.step(running, Who="Ada")
    store.database.run(lambda cursor: cursor.execute("UPDATE forktask_status SET state = 'completed'"))
    answer = site.client.get(url, headers={"Who": "Ada"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/thanks")


def test_one_may_leave_after_a_while_where_the_application_says_where_to(
    site: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forktask.web.focus.LEAVE_AFTER", 0.0)
    site.options |= {"acceptable_wait": 0}
    status = mine(store)
    assert ">Leave this page<" not in site.client.get(site.step(status, Who="Ada"), headers={"Who": "Ada"}).text
    site.options["leave_url"] = "/orders"
    page = site.client.get(site.step(status, Who="Ada"), headers={"Who": "Ada"}).text
    assert 'data-forktask-leave-in="0">' in page
    assert 'href="/orders"' in page


def test_the_page_is_found_by_whom_the_task_belongs_to(site: Site, store: Store) -> None:
    site.options["acceptable_wait"] = 0
    url = site.step(mine(store), Who="Ada")
    assert site.client.get(url, headers={"Who": "Ada"}).status_code == 200
    answer = site.client.get(url, headers={"Who": "Bob"})
    assert answer.status_code == 404, answer.text
    assert site.client.get(url[:-4] + url[-4:].swapcase(), headers={"Who": "Ada"}).status_code == 404


def test_a_page_of_the_applications_own_fills_in_what_it_says(site: Site, store: Store, tmp_path: Path) -> None:
    (tmp_path / "templates" / "wait.html").write_text(
        '{% extends "forktask/focus.html" %}{% block content %}<p>Order {{ status.settings.order }}</p>{% endblock %}'
    )
    site.options |= {"acceptable_wait": 0, "template": "wait.html"}
    page = site.client.get(site.step(mine(store, settings={"order": "<7>"}), Who="Ada"), headers={"Who": "Ada"}).text
    assert "<p>Order &lt;7&gt;</p>" in page
    assert "Please wait" in page


def test_nothing_in_the_page_needs_more_than_a_strict_content_security_policy(site: Site, store: Store) -> None:
    site.options |= {"acceptable_wait": 0, "leave_url": "/orders"}
    for state in (State.RUNNING, State.FAILED):
        page = site.client.get(site.step(mine(store, state=state), Who="Ada"), headers={"Who": "Ada"}).text
        assert not re.search(r"\sstyle=|<style|\son\w+=|javascript:|data:", page)
        assert all(tag.startswith('<script src="/forktask/static/') for tag in re.findall(r"<script[^>]*>", page))


def test_the_hook_is_called_once_and_says_where_to(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook}
    status = mine(store, state=State.COMPLETED)
    for _ in range(3):
        assert site.pay(status, Who="Ada").headers["Location"] == "/hook"
    assert site.paid == [status]


def test_a_hook_that_says_nothing_leads_to_the_next_url(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook}
    site.answer = None
    assert site.pay(mine(store, state=State.COMPLETED), Who="Ada").headers["Location"] == "/thanks"


def test_a_hook_that_raises_is_called_again(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook}
    site.answer = RuntimeError("the mail server is away")
    status = mine(store, state=State.COMPLETED)
    for _ in range(2):
        with pytest.raises(RuntimeError):
            site.pay(status, Who="Ada")
    site.answer = "/hook"
    assert site.pay(status, Who="Ada").headers["Location"] == "/hook"
    assert site.paid == [status] * 3


def test_a_hook_cannot_send_the_person_to_another_site(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook, "allowed_origins": ["https://bank.example"]}
    site.answer = "//evil.example"
    assert site.pay(mine(store, state=State.COMPLETED), Who="Ada").status_code == 400
    site.answer = "https://bank.example/done"
    answer = site.pay(mine(store, state=State.COMPLETED), Who="Ada")
    assert answer.headers["Location"] == "https://bank.example/done"


def test_a_hook_whose_answer_is_refused_was_called_all_the_same(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook}
    site.answer = "//evil.example"
    status = mine(store, state=State.COMPLETED)
    assert site.pay(status, Who="Ada").status_code == 400
    assert site.pay(status, Who="Ada").status_code == 303
    assert site.paid == [status]


def test_while_another_request_calls_the_hook_the_page_says_almost_there(site: Site, store: Store) -> None:
    site.options |= {"on_complete": site.hook}
    status = mine(store, state=State.COMPLETED)
    name = f"{site.hook.__module__}.{site.hook.__qualname__}"
    row = store.begin_completion(status, name, new_id(), patience=completion.PATIENCE)
    page = site.client.get(site.step(status, Who="Ada"), headers={"Who": "Ada"}).text
    assert "Almost there" in page
    assert 'data-forktask-focus="finishing"' in page
    assert '<noscript><meta http-equiv="refresh" content="1">' in page
    store.end_completion(row, "/elsewhere")
    assert site.pay(status, Who="Ada").headers["Location"] == "/elsewhere"
    assert site.paid == []


def test_a_hook_that_is_not_registered_is_named(site: Site, store: Store) -> None:
    def stranger(status: TaskStatus) -> None:
        """Do nothing."""

    site.options |= {"on_complete": stranger}
    with pytest.raises(ConfigurationError, match=r"stranger is not registered; write @forktask\.on_complete"):
        site.pay(mine(store), Who="Ada")


@pytest.mark.parametrize("name", ["next_url", "back_url", "leave_url"])
def test_no_address_leads_to_another_site(site: Site, name: str) -> None:
    site.options[name] = "//evil.example"
    answer = site.pay()
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    site.options |= {name: "https://bank.example/", "allowed_origins": ["https://bank.example"]}
    assert site.pay().status_code == 303


def test_the_error_can_be_caught(site: Site, bare: Flask, store: Store) -> None:
    with bare.test_request_context("/pay", method="POST"), pytest.raises(UnsafeRedirectError, match="next_url"):
        full_focus(TaskStatus.get(mine(store)), next_url=url_for("static", filename="x", _external=True)[5:])


def test_a_wait_that_is_none_is_refused(site: Site, store: Store) -> None:
    for wait in (-1, float("nan"), float("inf")):
        site.options["acceptable_wait"] = wait
        with pytest.raises(ValueError, match="acceptable_wait"):
            site.pay(mine(store), Who="Ada")


def test_a_program_gets_no_page(site: Site, store: Store) -> None:
    answer = site.pay(mine(store), Who="Ada", Accept="application/json")
    assert answer.status_code == 202
    assert answer.json["state"] == "running"
    assert answer.headers["Location"].startswith("/forktask/progress/")


def test_a_status_that_is_deleted_at_its_end_is_refused(site: Site, store: Store) -> None:
    with pytest.raises(ConfigurationError, match=r"full_focus cannot wait for \S+: with delete_on_completion"):
        site.pay(mine(store, delete_on_completion=1), Who="Ada")
