"""What becomes of a page between two steps when its status goes, or when the person does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Route, expect

from forktask.clock import now
from tests.e2e.conftest import need_htmx
from tests.e2e.routed import HOST, Site
from tests.e2e.test_focus import heard
from tests.e2e.test_widget import pump
from tools import htmx4

FOCUS = "forktask-focus.js"
STEP = "[data-forktask-focus]"


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "410", "dialog: "]


def test_a_page_whose_status_is_deleted_says_so_and_shows_the_way_back(page: Page, site: Site) -> None:
    page.goto(site.step(site.keep()))
    expect(page.locator(STEP)).to_be_visible()
    page.locator(STEP).click()
    site.forget()
    expect(page.get_by_role("heading", name="Das kann nicht mehr angezeigt werden")).to_be_visible()
    expect(page.locator("progress")).to_have_count(0)
    page.get_by_role("link", name="Zurück").click()
    expect(page).to_have_url(f"{HOST}/corner")


@pytest.mark.parametrize("htmx", ["2", "4"])
def test_a_link_that_htmx_boosts_asks_first(page: Page, site: Site, htmx: str) -> None:
    need_htmx(htmx)
    asked, answers = [], [False, True]

    def answer(dialog: Dialog) -> None:
        asked.append((dialog.type, dialog.message))
        dialog.accept() if answers.pop(0) else dialog.dismiss()

    def bring(route: Route) -> bool:
        is_wanted = htmx == "4" and "htmx.min.js" in route.request.url
        if is_wanted:
            route.fulfill(path=htmx4.FILE)
        return is_wanted

    page.on("dialog", answer)
    site.instead = bring
    page.goto(site.step(site.keep()))
    page.locator("main").evaluate(
        """(main) => {
            main.insertAdjacentHTML("beforeend", '<a href="/other" hx-boost="true">Elsewhere</a>');
            htmx.process(main);
        }"""
    )
    assert page.evaluate("htmx.version").startswith(htmx)
    page.get_by_role("link", name="Elsewhere").click()
    expect(page.locator(STEP)).to_be_visible()
    question = ("confirm", "Das ist noch nicht fertig. Diese Seite trotzdem verlassen?")
    pump(page, lambda: asked == [question], "the question")
    page.get_by_role("link", name="Elsewhere").click()
    expect(page.get_by_text("Other page")).to_be_visible()
    assert asked == [question, question]
    assert site.looks("/other") == 1


def test_the_way_that_the_page_itself_shows_asks_nothing(page: Page, site: Site) -> None:
    asked = heard(page)
    page.goto(site.step(site.keep(created_at=now() - timedelta(minutes=1))))
    page.locator(STEP).evaluate("(step) => { step.setAttribute('hx-boost', 'true'); htmx.process(step); }")
    page.get_by_role("link", name="Seite verlassen").click()
    expect(page.get_by_text("Other page")).to_be_visible()
    assert asked == []


@pytest.mark.parametrize("is_told", [False, True])
def test_after_a_link_by_htmx_nothing_warns_and_nothing_leads_on(page: Page, site: Site, is_told: bool) -> None:
    status = site.keep()
    asked = heard(page)
    page.goto(site.step(status))
    page.locator(STEP).click()
    page.evaluate("htmx.ajax('GET', '/other', { target: 'body', swap: 'innerHTML' })")
    expect(page.get_by_text("Other page")).to_be_visible()
    if is_told:  # by another bar of the same status
        address = page.url
        page.evaluate(
            "id => document.dispatchEvent(new CustomEvent('forktask:completed', { detail: { id } }))", str(status)
        )
        expect(page.get_by_text("Other page")).to_be_visible()
        assert page.url == address
    page.goto(f"{HOST}/corner")
    assert asked == []


def test_nothing_listens_any_more_once_the_step_has_left_the_document(
    page: Page, context: BrowserContext, site: Site
) -> None:
    tools = context.new_cdp_session(page)
    ours: set[str] = set()
    tools.on("Debugger.scriptParsed", lambda script: ours.add(script["scriptId"]) if FOCUS in script["url"] else None)
    tools.send("Debugger.enable")

    def listeners() -> int:
        found = 0
        for target in ("document", "window"):
            node = tools.send("Runtime.evaluate", {"expression": target})["result"]["objectId"]
            heard = tools.send("DOMDebugger.getEventListeners", {"objectId": node})["listeners"]
            found += sum(listener["scriptId"] in ours for listener in heard)
        return found

    page.goto(site.step(site.keep()))
    assert listeners() > 0
    page.evaluate("htmx.ajax('GET', '/other', { target: 'body', swap: 'innerHTML' })")
    expect(page.get_by_text("Other page")).to_be_visible()
    assert listeners() == 0
