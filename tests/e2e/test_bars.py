"""Buttons, many bars, and bars that come and go, in a real browser."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e.conftest import Steer, Steered, writing_end
from tests.e2e.serving import Server
from tests.e2e.test_widget import FRAME, PART, VALUE, polls_of, pump, show
from tests.waiting import wait_until


def addresses(page: Page) -> list[str]:
    """Return a list that grows with the polls of a page."""
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/progress?" in request.url else None)
    return sent


def test_one_request_asks_for_all_bars_of_a_page(page: Page, steered: Server, steer: Steer) -> None:
    tasks = [steer() for _ in range(3)]
    sent = addresses(page)
    show(page, steered, *tasks)
    pump(page, lambda: len(sent) >= 3, "three polls")
    assert {len(parse_qs(urlsplit(url).query)["t"]) for url in sent} == {3}
    for number, task in enumerate(tasks):
        task.tell(percent=10 + number)
        expect(page.locator(VALUE).nth(number)).to_have_attribute("value", str(10 + number))


def test_cancel_asks_once_and_then_cancels(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    page.locator("summary", has_text="Cancel").click()
    expect(page.get_by_text("Really cancel?")).to_be_visible()
    task.tell(percent=60)
    expect(page.locator(VALUE)).to_have_attribute("value", "60")
    expect(page.get_by_text("Really cancel?")).to_be_visible()
    page.get_by_role("button", name="Yes, cancel").click()
    expect(page.locator(PART)).to_contain_text("Cancel")
    expect(page.locator(".forktask-cancelled")).to_be_visible()
    expect(page.get_by_role("button", name="Start again")).to_be_visible()
    assert page.url.endswith(task.id)


def test_a_task_is_paused_and_goes_on_by_keyboard_alone(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")
    page.get_by_role("button", name="Tell me").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    task.tell(percent=41)
    expect(page.locator(VALUE)).to_have_attribute("value", "41")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(PART)).to_contain_text("Paused")
    expect(page.get_by_role("button", name="Resume")).to_be_focused()
    page.keyboard.press("Enter")
    task.tell(percent=70)
    expect(page.locator(VALUE)).to_have_attribute("value", "70")


def leave_by(page: Page, name: str) -> None:
    """Press a button that leads to another page; be there, for a reload on the way is refused."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()


def test_buttons_work_without_javascript(browser: Browser, steered: Server, page: Page, steer: Steer) -> None:
    task = steer()
    known = page.context.storage_state()
    context = browser.new_context(java_script_enabled=False, storage_state=known)
    quiet = context.new_page()
    show(quiet, steered, task)
    leave_by(quiet, "Pause")
    wait_until(lambda: quiet.reload() and quiet.get_by_text("Paused").is_visible(), 60, "the pause")
    assert quiet.url == f"{steered.url}/show/plain/{task.id}"
    leave_by(quiet, "Resume")
    quiet.locator("summary", has_text="Cancel").click()
    leave_by(quiet, "Yes, cancel")
    wait_until(lambda: quiet.reload() and quiet.locator(".forktask-cancelled").is_visible(), 60, "the cancel")
    context.close()


def test_a_task_that_was_started_by_script_gets_its_bar(
    page: Page, steered: Server, tmp_path: Path, steer: Steer
) -> None:
    show(page, steered, steer())
    path = tmp_path / "pipe"
    os.mkfifo(path)
    page.evaluate(
        """async (pipe) => {
            const answer = await fetch("/start/address", { method: "POST", body: new URLSearchParams({ pipe }) });
            await forktask.watch(document.querySelector("#elsewhere"), (await answer.json()).url);
        }""",
        str(path),
    )
    pipe = wait_until(lambda: writing_end(path), 60, "the task to open its pipe")
    assert pipe is not None
    task = Steered("", pipe)
    task.tell(percent=40)
    expect(page.locator(f"#elsewhere {VALUE}")).to_have_attribute("value", "40")
    task.tell(end=True)
    expect(page.locator(f"#elsewhere {PART}")).to_contain_text("Done")
    os.close(task.pipe)


def test_another_browser_sees_nothing_of_it(browser: Browser, page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    show(page, steered, task)
    token = page.locator(FRAME).get_attribute("data-forktask-token")
    context = browser.new_context()
    other = context.new_page()
    show(other, steered, task)
    expect(other.locator(PART)).to_contain_text("can no longer be shown")
    response = other.goto(f"{steered.url}/forktask/progress/{token}")
    assert response is not None
    assert response.status == 404
    context.close()


def test_a_bar_that_left_the_page_is_asked_for_no_more(page: Page, steered: Server, steer: Steer) -> None:
    first, second = steer(), steer()
    show(page, steered, first, second)
    gone, there = polls_of(page, 0), polls_of(page, 1)
    pump(page, lambda: gone() > 0, "a poll for both")
    page.evaluate("document.querySelector('[data-forktask-token]').remove()")
    asked, others = gone(), there()
    pump(page, lambda: there() >= others + 4, "the other bar to ask four times more")
    assert gone() <= asked + 1  # one may have been under way


def test_polls_never_overlap(page: Page, steered: Server, steer: Steer) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)
        if len(held) > 1:
            route.continue_()

    task, other = steer(), page.context.new_page()
    page.route("**/progress?*", hold)
    show(page, steered, task)
    pump(page, lambda: len(held) == 1, "the first poll")
    show(other, steered, task)
    polls = polls_of(other)
    page.evaluate("for (let i = 0; i < 5; i++) window.dispatchEvent(new Event('focus'))")
    pump(other, lambda: polls() >= 4 and bool(page.evaluate("1")), "another tab to ask four times")
    assert len(held) == 1
    held[0].continue_()
    task.tell(percent=40)
    expect(page.locator(VALUE)).to_have_attribute("value", "40")


def test_a_second_tab_follows_the_same_task(page: Page, steered: Server, steer: Steer) -> None:
    task = steer()
    other = page.context.new_page()
    for tab in (page, other):
        show(tab, steered, task)
    task.tell(percent=40)
    for tab in (page, other):
        expect(tab.locator(VALUE)).to_have_attribute("value", "40")


def test_texts_with_markup_bidi_marks_and_ten_thousand_characters_do_no_harm(
    page: Page, steered: Server, steer: Steer
) -> None:
    task = steer()
    show(page, steered, task)
    task.tell(percent=40, message="<img src=x onerror=alert(1)>\u202e\u2066" + "w" * 10_000)
    expect(page.locator(PART)).to_contain_text("<img src=x")
    assert page.locator(f"{PART} img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
