"""How the scripts behave when something comes between: navigation by htmx, an outage, a login page."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from forktask import State
from tests.e2e.routed import HOST, Site
from tests.e2e.test_overview import NEXT_TURN
from tests.e2e.test_widget import pump

PART = ".forktask-part"
CANCEL = "[data-forktask-ask=cancel] summary"
FOCUS = [
    ("[data-forktask-action=pause] button", State.PAUSED, "[data-forktask-action=resume] button"),
    ("[data-forktask-action=pause] button", State.FAILED, PART),
    (CANCEL, State.PAUSED, CANCEL),
    (CANCEL, State.CANCELLED, PART),
]
"""What has the focus, what becomes of the task, and what has it then."""
PANEL = ".forktask-global-panel"


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "net::ERR_", "404", "500", "htmx:"]


def test_the_corner_says_what_it_showed_in_the_language_of_its_page(page: Page, site: Site) -> None:
    site.keep()
    page.goto(f"{HOST}/corner")
    expect(page.locator(PANEL)).to_be_visible()
    site.change("state = 'completed'")
    expect(page.locator(PANEL)).to_contain_text("Alles fertig")
    asked = [parse_qs(urlsplit(address).query) for address in site.sent if "/forktask/global" in address]
    assert {frozenset(query) for query in asked} == {frozenset({"lang", "shown"})}


def test_the_corner_keeps_what_the_person_chose_and_nothing_else(page: Page, site: Site) -> None:
    site.keep(percent=10)
    page.goto(f"{HOST}/corner")
    for percent in ("40", "70"):
        site.change(f"percent = {percent}")
        expect(page.locator(f"{PANEL} progress")).to_have_attribute("value", percent)
    kept = "localStorage.getItem('forktask-panel')"
    assert page.evaluate(kept) is None
    page.locator(f"{PANEL} summary").first.click()
    pump(page, lambda: page.evaluate(kept) == "closed", "the choice to be kept")


def test_after_navigation_by_htmx_one_corner_looks(page: Page, site: Site) -> None:
    site.keep()
    page.goto(f"{HOST}/corner")
    page.evaluate(
        "window.told = 0; Notification.requestPermission = async () => { window.told += 1; return 'denied'; }; null"
    )
    for _ in range(3):
        page.evaluate("document.querySelector('aside').id = 'old'")
        page.get_by_text("Other page").click()
        expect(page.locator("#old")).to_have_count(0)
        expect(page.locator(PANEL)).to_be_visible()
    page.evaluate("document.querySelector('aside').remove()")
    page.evaluate("document.querySelector('[data-forktask-notice]').hidden = false")
    page.evaluate("document.querySelector('[data-forktask-notice]').click()")
    assert page.evaluate("window.told") == 1
    page.clock.install()
    before = site.looks()
    for _ in range(10):
        page.clock.fast_forward(5_000)
        page.evaluate("document.dispatchEvent(new CustomEvent('forktask:started'))")
    page.evaluate(NEXT_TURN)
    assert site.looks() <= before + 1  # one may have been under way


def test_the_corner_looks_less_and_less_while_the_server_is_away(page: Page, site: Site) -> None:
    site.keep()
    page.clock.install(time=0)
    page.clock.pause_at(1)
    held: list[Route] = []
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))

    def hold(route: Route) -> bool:
        if "/forktask/global" in route.request.url:
            held.append(route)
        return "/forktask/global" in route.request.url

    def no_answer() -> bool:
        page.clock.run_for(50)  # in steps: what comes next is timed from its end
        return len(failed) == 2

    site.instead = hold
    page.goto(f"{HOST}/corner")
    page.clock.run_for(410)
    for number, pause in enumerate((800, 1600, 3200, 6400), 1):  # as it grows, give or take a quarter
        pump(page, lambda count=number: len(held) == count, "the next look")  # type: ignore[misc]
        if number == 2:
            page.clock.run_for(14_000)
            pump(page, no_answer, "the end of its patience")
        else:
            held[-1].abort()
        pump(page, lambda count=number: len(failed) == count, "its failure")  # type: ignore[misc]
        page.evaluate(NEXT_TURN)
        page.clock.run_for(pause * 3 // 4 - 200)
        assert page.evaluate("1") and len(held) == number
        page.clock.run_for(pause // 2 + 250)
    pump(page, lambda: len(held) == 5, "the last look in vain")
    site.change("state = 'completed'")
    site.instead = lambda _: False
    held[-1].abort()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.clock.resume()
    expect(page.locator(PANEL)).to_contain_text("Alles fertig")


@pytest.mark.parametrize("status", [200, 302, 404])
def test_the_corner_forgets_what_it_showed_when_somebody_else_answers(page: Page, site: Site, status: int) -> None:
    site.keep()
    page.goto(f"{HOST}/corner")
    expect(page.locator(PANEL)).to_be_visible()
    login = "<!doctype html><title>Sign in</title>"

    def refuse(route: Route) -> bool:
        if "/forktask/global" not in route.request.url:
            return False
        route.fulfill(status=status, headers={"Location": "/other"}, content_type="text/html", body=login)
        return True

    site.instead = refuse
    expect(page.locator(PANEL)).to_have_count(0)
    page.clock.install()
    before = site.looks()
    page.clock.fast_forward(600_000)
    page.evaluate(NEXT_TURN)
    assert (site.looks(), site.looks("/other")) == (before, 0)
    site.instead = lambda _: False
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page.locator(PANEL)).to_be_visible()


def test_a_bar_that_comes_after_an_outage_is_asked_for(page: Page, site: Site) -> None:
    page.clock.install()
    status = site.keep(percent=10)
    page.goto(f"{HOST}/bars/{status}")
    site.instead = lambda route: "/forktask/progress" in route.request.url and answered(route, 0)
    pump(page, lambda: site.looks("/forktask/progress") >= 1, "a poll in vain")
    page.evaluate(
        "window.kept = document.querySelector('#bars').innerHTML; document.querySelector('#bars').innerHTML = ''"
    )
    page.clock.fast_forward(60_000)
    page.evaluate(NEXT_TURN)
    site.instead = lambda _: False
    site.change("percent = 70")
    page.evaluate("document.querySelector('#bars').innerHTML = window.kept")
    expect(page.locator("progress")).to_have_attribute("value", "70")


@pytest.mark.parametrize(("key", "state", "focused"), FOCUS)
def test_the_focus_lands_on_the_same_action_or_on_none(
    page: Page, site: Site, key: str, state: State, focused: str
) -> None:
    page.goto(f"{HOST}/bars/{site.keep()}")
    page.locator(key).focus()
    site.change(f"state = '{state.value}'")
    expect(page.locator(PART)).to_have_attribute("data-forktask-state", state.value)
    expect(page.locator(focused)).to_be_focused()


def test_a_form_is_a_new_order_only_when_it_was_taken(page: Page, site: Site) -> None:
    page.goto(f"{HOST}/corner")
    field = "<input name=forktask_form_token value=first>"
    page.add_script_tag(url=f"{HOST}/forktask/static/forktask-form.js")
    ways = {"form": f"<form hx-post=/taken hx-swap=none>{field}<button>go</button></form>"}
    ways["button"] = f"<form>{field}<button type=button hx-post=/taken hx-swap=none>go</button></form>"
    for form in ways.values():
        page.evaluate("(html) => { bars.innerHTML = html; htmx.process(bars); }", form)
        for status, same in ((0, True), (500, True), (200, False)):
            site.instead = lambda route, status=status: answered(route, status)  # type: ignore[misc]
            page.evaluate(
                "window.ended = new Promise((done) => addEventListener('htmx:afterRequest', done)).then(() => 1); null"
            )
            page.get_by_role("button", name="go").click()
            assert page.evaluate("window.ended") == 1
            assert (page.locator("#bars input").input_value() == "first") is same


def test_a_form_stays_the_same_order_while_nothing_of_it_was_sent(page: Page, site: Site) -> None:
    page.goto(f"{HOST}/corner")
    page.add_script_tag(url=f"{HOST}/forktask/static/forktask-form.js")
    site.instead = lambda route: answered(route, 200) if "/valid" in route.request.url else False
    inner = "<input name=forktask_form_token value=first><input name=a hx-get=/valid hx-trigger=look hx-swap=none>"
    form = f"<div id=around hx-get=/valid hx-trigger=look hx-swap=none><form hx-post=/taken>{inner}</form></div>"
    page.evaluate("(html) => { bars.innerHTML = html; htmx.process(bars); }", form)
    for element in ("#around", "[name=a]"):
        page.evaluate(
            "window.ended = new Promise((done) => addEventListener('htmx:afterRequest', done)).then(() => 1); null"
        )
        page.evaluate("(element) => htmx.trigger(element, 'look')", element)
        assert page.evaluate("window.ended") == 1
        assert page.locator("[name=forktask_form_token]").input_value() == "first"


def answered(route: Route, status: int) -> bool:
    """Answer with a status; 0: not at all."""
    if status:
        route.fulfill(status=status)
    else:
        route.abort()
    return True
