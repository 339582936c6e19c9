"""The widget in a real browser, with tasks that do as they are told."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE, Steer, Steered
from tests.e2e.serving import Server
from tests.waiting import wait_until

FRAME = ".forktask[data-forktask-token]"
PART = ".forktask-progress"
VALUE = "progress.forktask-bar"


def show(page: Page, server: Server, *tasks: Steered, layout: str = "plain") -> None:
    """Open a page with the bars of some tasks."""
    page.goto(f"{server.url}/show/{layout}/{'/'.join(task.id for task in tasks)}")


def polls_of(page: Page, number: int = 0) -> Callable[[], int]:
    """Return a function that counts the requests that the widget of this number sends from now on."""
    token = page.locator(FRAME).nth(number).get_attribute("data-forktask-token") or "no such"
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if token in request.url else None)
    return lambda: len(sent)


def pump(page: Page, predicate: Callable[[], bool], what: str) -> None:
    """Wait for something outside of the page while the browser's events come in."""
    wait_until(lambda: page.evaluate("1") and predicate(), PATIENCE, what)


def test_the_bar_moves_and_says_how_it_ended(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40, message="Importing")
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    expect(page.locator(PART)).to_contain_text("Importing")
    task.tell(percent=80)
    expect(page.locator(VALUE)).to_have_attribute("value", "80")
    task.tell(end=True)
    expect(page.locator(PART)).to_contain_text("Done")
    expect(page.locator(VALUE)).to_have_attribute("value", "100")


def test_a_reload_in_the_middle_shows_the_present_value_at_once(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    response = page.reload()
    assert response is not None
    assert 'value="40"' in response.text()
    task.tell(percent=70)
    expect(page.locator(VALUE)).to_have_attribute("value", "70")


def test_a_finished_bar_asks_no_more_while_another_goes_on(page: Page, steered: Server, steer: Steer) -> None:
    first, second = steer(), steer()
    show(page, steered, first, second)
    finished, running = polls_of(page, 0), polls_of(page, 1)
    first.tell(end=True)
    expect(page.locator(PART).first).to_contain_text("Done")
    asked, others = finished(), running()
    assert asked
    pump(page, lambda: running() >= others + 4, "the other bar to ask four times more")
    assert finished() == asked


def test_what_did_not_change_is_neither_sent_nor_replaced(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    task.tell(percent=30)
    show(page, steered, task)
    expect(page.locator(VALUE)).to_have_attribute("value", "30")
    token = page.locator(FRAME).get_attribute("data-forktask-token") or ""

    def polls() -> list[str]:
        return steered.requests(rf"GET \S*{re.escape(token)} ")

    wait_until(lambda: any(" 304 " in line for line in polls()), what="a first 304")
    for _ in range(10):  # the time left is news, now and then
        known = len(polls())
        page.locator(PART).evaluate("element => { element.mark = 'the same' }")
        wait_until(lambda known=known: len(polls()) > known + 3, what="three more polls")  # type: ignore[misc]
        if all(" 304 " in line for line in polls()[known:]):
            break
    else:
        pytest.fail(f"never three times the same: {polls()}")
    assert page.locator(PART).evaluate("element => element.mark") == "the same"
    task.tell(percent=60)
    expect(page.locator(VALUE)).to_have_attribute("value", "60")


def test_it_works_in_a_page_that_sets_everything_for_its_own_htmx(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task, layout="boosted")
    address = page.url
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    task.tell(end=True)
    expect(page.locator(PART)).to_contain_text("Done")
    expect(page.locator("#elsewhere")).to_have_text("here")
    assert page.url == address


def test_a_failing_task_shows_a_sentence_and_a_reference_only(page: Page, steered: Server, steer: Steer) -> None:
    bodies: list[str] = []
    page.on("response", lambda response: bodies.append(response.text()) if "/progress?" in response.url else None)
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    task.tell(**{"raise": "password=swordfish"})
    expect(page.locator(PART)).to_contain_text("Something went wrong")
    expect(page.locator(".forktask-reference")).to_have_text(re.compile(r"^[0-9A-Z]{4}-[0-9A-Z]{4}$"))
    assert bodies
    assert not [text for text in [page.content(), *bodies] if "swordfish" in text or "Traceback" in text]


def test_a_task_that_is_killed_is_told_within_two_seconds(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    asked = polls_of(page)
    task.tell(kill=9)
    expect(page.locator(PART)).to_contain_text("killed")
    assert asked() <= 10  # five a second where the machine is not busy


def test_warnings_are_counted_and_can_be_read_at_the_end(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(warn="<b>Row 7</b> is empty")
    expect(page.locator(PART)).to_contain_text("1 warning")
    task.tell(end=True)
    page.locator("summary", has_text="1 warning").click()
    expect(page.get_by_text("<b>Row 7</b> is empty")).to_be_visible()


def test_scripts_of_the_page_hear_of_progress_and_end(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    page.evaluate(
        """() => { window.heard = []; for (const name of ["progress", "completed", "failed"])
        document.addEventListener("forktask:" + name, (event) => window.heard.push([name, event.detail])); }"""
    )
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    task.tell(end=True)
    expect(page.locator(PART)).to_contain_text("Done")
    heard = page.evaluate("window.heard")
    assert ["progress", {"id": task.id, "state": "running", "percent": 40}] in heard
    assert [entry for entry in heard if entry[0] != "progress"] == [
        ["completed", {"id": task.id, "state": "completed", "percent": 100}]
    ]


def test_a_screen_reader_hears_quarters_and_the_end_and_focus_stays(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    task.tell(percent=1)
    show(page, steered, task)
    expect(page.locator(VALUE)).to_have_attribute("value", "1")
    page.evaluate(
        """() => { window.spoken = []; const live = document.querySelector("[role=status]");
        new MutationObserver(() => window.spoken.push(live.textContent)).observe(live, { childList: true }); }"""
    )
    page.locator("#name").fill("Ada")
    for percent in (10, 26, 40, 49, 51):
        task.tell(percent=percent, message="Importing")
        expect(page.locator(VALUE)).to_have_attribute("value", str(percent))
    task.tell(end=True)
    expect(page.locator(PART)).to_contain_text("Done")
    title = "Steered <task>"
    assert page.evaluate("window.spoken") == [
        f"{title}: Importing, 26%",
        f"{title}: Importing, 51%",
        f"{title}: Done, 100%",
    ]
    expect(page.locator("#name")).to_be_focused()


def test_a_hidden_tab_does_not_ask(page: Page, steered: Server, steer: Steer) -> None:
    hidden, seen = steer(), steer()
    show(page, steered, hidden)
    other = page.context.new_page()
    show(other, steered, seen)
    page.evaluate("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })")
    asked, others = polls_of(page), polls_of(other)
    pump(other, lambda: others() >= 4, "the visible tab to ask four times")
    page.evaluate("1")
    assert asked() <= 1  # one may have been under way
    hidden.tell(percent=50)
    page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator(VALUE)).to_have_attribute("value", "50")


@pytest.mark.parametrize("width", [320, 375, 1280])
def test_it_fits(page: Page, steered: Server, steer: Steer, width: int) -> None:
    task = steer()
    page.set_viewport_size({"width": width, "height": 800})
    show(page, steered, task)
    task.tell(percent=40, message="x" * 1000 + " word" * 400, done=123_456_789, total=987_654_321, unit="transactions")
    expect(page.locator(PART)).to_contain_text("transactions")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
