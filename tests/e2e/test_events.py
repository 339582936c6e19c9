"""What widgets tell the scripts of a page, with a detail each."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from forktask import State
from tests.e2e.routed import HOST, Site
from tests.e2e.test_widget import pump

LISTEN = """window.heard = [];
for (const name of ["started", "progress", "completed", "failed", "cancelled", "lost", "all-done"])
    document.addEventListener("forktask:" + name, (event) => window.heard.push([name, event.detail]));"""
ENDS = [State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST]


def heard_of(page: Page, state: State) -> list[Any]:
    """Return the events since a status is in this state; before, its words may have changed."""
    return [event for event in page.evaluate("window.heard") if event[1]["state"] == state]


@pytest.mark.parametrize("state", ENDS)
def test_each_end_has_its_event_and_no_other(page: Page, site: Site, state: State) -> None:
    status = site.keep(percent=40.0)
    page.goto(f"{HOST}/bars/{status}")
    page.evaluate(LISTEN)
    site.change(f"state = '{state}'")
    expect(page.locator("[data-forktask]")).to_have_attribute("data-forktask-state", state)
    detail = {"id": str(status), "state": state, "percent": 100 if state is State.COMPLETED else 40}
    pump(page, lambda: len(heard_of(page, state)) >= 2, "both events")
    assert heard_of(page, state) == [["progress", detail], [state, detail]]


def test_the_begin_of_what_waited_has_an_event(page: Page, site: Site) -> None:
    status = site.keep()
    site.change("state = 'queued'")
    page.goto(f"{HOST}/bars/{status}")
    page.evaluate(LISTEN)
    site.change("state = 'running'")
    expect(page.locator("[data-forktask]")).to_have_attribute("data-forktask-state", "running")
    detail = {"id": str(status), "state": "running", "percent": None}
    pump(page, lambda: len(heard_of(page, State.RUNNING)) >= 2, "both events")
    assert heard_of(page, State.RUNNING)[:2] == [["started", detail], ["progress", detail]]


def test_the_corner_tells_that_all_is_done(page: Page, site: Site) -> None:
    site.keep()
    page.goto(f"{HOST}/corner")
    page.evaluate(LISTEN)
    site.change("state = 'completed'")
    pump(page, lambda: page.evaluate("window.heard") == [["all-done", None]], "the event")
