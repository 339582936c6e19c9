"""The widgets with the htmx of the application, of either generation, and with ours."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Steer, need_htmx
from tests.e2e.serving import Server
from tests.e2e.test_widget import PART, VALUE, polls_of, pump


@pytest.fixture(params=["", "2", "4"], ids=["ours", "own-2", "own-4"])
def htmx(request: pytest.FixtureRequest) -> str:
    """Which htmx the page loads; empty: ours."""
    version: str = request.param
    need_htmx(version)
    return version


@pytest.mark.parametrize("layout", ["plain", "boosted"])
def test_two_bars_move_end_and_ask_no_more(page: Page, steered: Server, steer: Steer, htmx: str, layout: str) -> None:
    first, second = steer(), steer()
    page.goto(f"{steered.url}/show/{layout}/{first.id}/{second.id}?htmx={htmx}")
    address = page.url
    assert page.evaluate("htmx.version").startswith(htmx or "2")
    page.evaluate(
        """() => { window.heard = []; for (const name of ["completed", "failed"])
        document.addEventListener("forktask:" + name, (event) => window.heard.push(event.detail.state)); }"""
    )
    finished, running = polls_of(page, 0), polls_of(page, 1)
    first.tell(percent=40, message="Importing")
    expect(page.locator(VALUE).first).to_have_attribute("value", "40")
    first.tell(end=True)
    expect(page.locator(PART).first).to_contain_text("Done")
    asked, others = finished(), running()
    pump(page, lambda: running() >= others + 3, "the other bar to ask three times more")
    assert finished() == asked
    second.tell(**{"raise": "no"})
    expect(page.locator(PART).nth(1)).to_contain_text("Something went wrong")
    assert page.evaluate("window.heard") == ["completed", "failed"]
    expect(page.locator("#elsewhere")).to_have_text("here")
    assert page.url == address


def test_who_signed_out_is_told_and_goes_on_after(page: Page, steered: Server, steer: Steer, htmx: str) -> None:
    task = steer()
    page.goto(f"{steered.url}/show/plain/{task.id}?htmx={htmx}")
    page.request.post(f"{steered.url}/session", data={"closed": True})
    expect(page.get_by_text("Please sign in again")).to_be_visible()
    assert page.locator(PART).count() == 1
