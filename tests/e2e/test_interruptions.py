"""The widget when something comes between it and its server."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, Page, expect

from forktask import State
from forktask.store import Store
from tests.e2e.conftest import Steer, writing_end
from tests.e2e.serving import Server, processes_in, served
from tests.e2e.test_widget import PART, VALUE, polls_of, pump, show
from tests.waiting import wait_until
from tests.web.rows import keep


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "net::ERR_", "404 (NOT FOUND)", "htmx:sendError", "htmx:afterRequest"]


@pytest.fixture
def steered(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, so that it can be stopped."""
    with served("tests.e2e.steered:app", tmp_path, STEERED_FOLDER=str(tmp_path)) as server:
        yield server


def test_the_bar_survives_the_end_of_the_web_server(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    steered.stop()
    expect(page.get_by_text("No connection")).to_be_visible()
    task.tell(percent=60)
    steered.start()
    expect(page.locator(VALUE)).to_have_attribute("value", "60")
    expect(page.get_by_text("No connection")).to_be_hidden()
    task.tell(end=True)
    expect(page.locator(PART)).to_contain_text("Done")


def test_a_login_page_does_not_end_up_in_the_bar(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    page.request.post(f"{steered.url}/session", data={"closed": True})
    expect(page.get_by_text("Please sign in again")).to_be_visible()
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    task.tell(percent=60)
    page.request.post(f"{steered.url}/session", data={})
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # somebody comes back from the login
    expect(page.locator(VALUE)).to_have_attribute("value", "60")
    expect(page.get_by_text("Please sign in again")).to_be_hidden()


def test_a_bar_that_is_no_longer_mine_says_so_and_stops(page: Page, steered: Server, steer: Steer) -> None:
    page.request.post(f"{steered.url}/session", data={"who": "Ada"})
    mine = steer()
    page.request.post(f"{steered.url}/session", data={})
    open_to_all = steer()
    page.request.post(f"{steered.url}/session", data={"who": "Ada"})
    show(page, steered, mine, open_to_all)
    asked, others = polls_of(page, 0), polls_of(page, 1)
    page.request.post(f"{steered.url}/session", data={"who": "Bob"})
    expect(page.locator(PART).first).to_contain_text("can no longer be shown")
    before, others_before = asked(), others()
    pump(page, lambda: others() >= others_before + 4, "the other bar to ask four times more")
    assert asked() == before


def test_without_javascript_a_link_leads_to_a_page_that_refreshes_itself(
    browser: Browser, steered: Server, page: Page, steer: Steer
) -> None:
    task = steer()
    task.tell(percent=40)
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    quiet = context.new_page()
    show(quiet, steered, task)
    quiet.get_by_role("link", name="Refresh").click()
    expect(quiet.locator(VALUE)).to_have_attribute("value", "40")
    task.tell(end=True)
    expect(quiet.locator(PART)).to_contain_text("Done")
    context.close()


def test_the_first_request_starts_what_an_earlier_server_left_waiting(steered: Server, tmp_path: Path) -> None:
    steered.stop()
    wait_until(lambda: not processes_in(tmp_path), 30, "the supervisor to leave")
    store = Store(f"sqlite:///{tmp_path}/forktask.sqlite")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    status = keep(store, task="tests.e2e.steered.SteeredTask", settings={"pipe": str(pipe)})
    steered.start()
    assert writing_end(pipe) is None
    urlopen(f"{steered.url}/login").close()
    descriptor = wait_until(lambda: writing_end(pipe), 30, "the task to start")
    assert descriptor is not None
    os.write(descriptor, json.dumps({"end": 1}).encode() + b"\n")
    os.close(descriptor)
    wait_until(lambda: (row := store.get(status)) and row.state is State.COMPLETED, 30, "its end")
    store.close()
