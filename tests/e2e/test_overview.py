"""The corner that shows what runs, in a real browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import Steer, Steered
from tests.e2e.serving import Server
from tests.e2e.test_widget import pump

CORNER = ".forktask-global"
BADGE = ".forktask-global-badge"
PANEL = ".forktask-global-panel"
NEXT_TURN = """new Promise((done) => {
    const way = new MessageChannel();
    way.port1.onmessage = () => done();
    way.port2.postMessage(1);
})"""
"""Comes back when the page has done what was due; its timers stand still."""
COUNT_ANSWERS = """{
    const sent = window.fetch;
    window.answers = 0;
    window.fetch = async (...given) => {
        const answer = await sent(...given);
        const text = answer.text.bind(answer);
        answer.text = () => text().finally(() => { window.answers += 1; });
        return answer;
    };
}"""
"""Counts what the page has read: the browser tells us of an answer before the page has it."""


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico"]


def looks(page: Page) -> Callable[[], int]:
    """Return a function that counts the looks of a page from now on."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/forktask/global" in request.url else None)
    return lambda: len(sent)


def test_what_starts_elsewhere_appears_and_all_done_is_said_once(
    page: Page, context: BrowserContext, steered: Server, steer: Steer
) -> None:
    page.goto(f"{steered.url}/site")
    expect(page.locator(PANEL)).to_have_count(0)
    tasks: list[Steered] = [steer() for _ in range(4)]
    expect(page.locator(BADGE)).to_have_text("4")
    expect(page.locator(f"{CORNER} li:visible")).to_have_count(3)
    page.get_by_text("1 more").click()
    expect(page.locator(f"{CORNER} li:visible")).to_have_count(4)
    tasks[3].tell(percent=40)
    expect(page.locator(f"{CORNER} li").first.locator("progress")).to_have_attribute("value", "40")
    expect(page.locator(f"{CORNER} li:visible")).to_have_count(4)  # what was unfolded stays so
    for task in tasks[1:]:
        task.tell(end=True)
    expect(page.locator(BADGE)).to_have_text("1")
    expect(page.locator(f"{CORNER} li").nth(1)).to_contain_text("Done")
    other = context.new_page()
    other.goto(f"{steered.url}/site")
    expect(other.locator(BADGE)).to_have_text("1")
    other.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    tasks[0].tell(end=True)
    expect(page.locator(PANEL)).to_contain_text("All done")
    assert page.locator(f"{CORNER} [role=status]").text_content() == "All done"
    other.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(other.locator(PANEL)).to_have_count(0)
    assert other.locator(f"{CORNER} [role=status]").text_content() == ""
    expect(page.locator(PANEL)).to_have_count(0)


def test_what_went_wrong_stays_until_it_is_closed(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    page.goto(f"{steered.url}/site")
    expect(page.locator(BADGE)).to_have_text("1")
    page.clock.install()
    task.tell(**{"raise": "password=swordfish"})
    page.clock.resume()
    expect(page.locator(PANEL)).to_contain_text("1 task did not complete")
    page.clock.fast_forward(60_000)
    expect(page.locator(PANEL)).to_contain_text("1 task did not complete")
    assert "swordfish" not in page.content()
    page.get_by_role("button", name="Close").click()
    expect(page.locator(PANEL)).to_have_count(0)


def test_what_ended_on_the_way_to_another_page_is_told_there(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    page.goto(f"{steered.url}/site")
    expect(page.locator(BADGE)).to_have_text("1")
    page.goto(f"{steered.url}/left")
    task.tell(end=True)
    pump(page, lambda: '"is_final":false' not in json_of(page, steered), "the end of the task")
    page.goto(f"{steered.url}/site")
    expect(page.locator(PANEL)).to_contain_text("All done")


def json_of(page: Page, server: Server) -> str:
    return page.request.get(f"{server.url}/forktask/global", headers={"Accept": "application/json"}).text()


def test_a_page_on_which_nothing_runs_looks_less_and_less(page: Page, steered: Server) -> None:
    page.clock.install(time=0)
    page.clock.pause_at(1)
    page.add_init_script(COUNT_ANSWERS)
    asked = looks(page)
    page.goto(f"{steered.url}/site")
    for number, pause in enumerate((2, 4, 8), 1):
        page.clock.run_for(1000 * pause - 100)
        assert page.evaluate("1") and asked() == number - 1
        page.clock.run_for(200)
        pump(page, lambda count=number: page.evaluate("answers") == count, "the answer")  # type: ignore[misc]
        page.evaluate(NEXT_TURN)


def test_a_hidden_tab_does_not_look_and_looks_at_once_when_seen(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    page.goto(f"{steered.url}/site")
    expect(page.locator(BADGE)).to_have_text("1")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true });"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    asked = looks(page)
    other = page.context.new_page()
    others = looks(other)
    other.goto(f"{steered.url}/site")
    pump(other, lambda: others() >= 3, "the visible tab to look three times")
    page.evaluate("1")
    assert asked() <= 1  # one may have been under way
    task.tell(percent=50)
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(f"{CORNER} progress")).to_have_attribute("value", "50")
