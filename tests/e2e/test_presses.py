"""A button whose request fails, and what a page remembers of what it showed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.routed import HOST, Site
from tests.e2e.test_widget import pump

PAUSE = "[data-forktask-action=pause] button"
ALERT = "[role=alert]"
PROBLEM = "application/problem+json"
ANSWERS = [
    (500, "text/html", "<!doctype html><p>Internal error", "Das hat nicht geklappt"),
    (503, "text/html", "", "Das hat nicht geklappt"),
    (409, PROBLEM, json.dumps({"detail": "Zu sp\u00e4t <b>"}), "Zu sp\u00e4t <b>"),
    (409, PROBLEM, json.dumps({"detail": {"loc": ["body"]}}), "Das hat nicht geklappt"),
    (409, PROBLEM, "null", "Das hat nicht geklappt"),
    (422, "application/json", json.dumps({"detail": "of the application's own"}), "Das hat nicht geklappt"),
]


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "Failed to load resource"]


@pytest.mark.parametrize(("status", "mimetype", "body", "said"), ANSWERS)
def test_a_failed_action_says_what_the_server_said_until_the_next_one(
    page: Page, site: Site, status: int, mimetype: str, body: str, said: str
) -> None:
    def refuse(route: Route) -> bool:
        is_action = route.request.method == "POST"
        if is_action:
            route.fulfill(status=status, content_type=mimetype, body=body)
        return is_action

    page.goto(f"{HOST}/bars/{site.keep(percent=10)}")
    site.instead = refuse
    page.locator(PAUSE).click()
    expect(page.locator(ALERT)).to_contain_text(said)
    asked = site.looks("/forktask/progress")
    pump(page, lambda: site.looks("/forktask/progress") > asked + 1, "two more polls")
    site.change("percent = 20")
    expect(page.locator("progress")).to_have_attribute("value", "20")
    expect(page.locator(ALERT)).to_contain_text(said)
    expect(page.get_by_text("Keine Verbindung")).to_be_hidden()
    site.instead = lambda _: False
    page.locator(PAUSE).click()
    expect(page.locator(ALERT)).to_be_empty()


def test_an_action_on_what_was_deleted_says_so(page: Page, site: Site) -> None:
    def forget(route: Route) -> bool:
        if route.request.method == "POST":
            site.forget()
        return False

    page.goto(f"{HOST}/bars/{site.keep()}")
    site.instead = forget
    page.locator(PAUSE).click()
    expect(page.get_by_text("Diese Aufgabe kann nicht mehr angezeigt werden.")).to_have_count(1)
    expect(page.locator("[data-forktask-state=gone]")).to_be_visible()
    expect(page.locator(ALERT)).to_be_empty()


def test_an_action_of_who_signed_out_asks_to_sign_in_and_nothing_else(page: Page, site: Site) -> None:
    def sign_out(route: Route) -> bool:
        state = site.app.extensions["forktask"]
        if route.request.method == "POST":
            site.app.extensions["forktask"] = replace(state, permit=lambda *_: False)
        return False

    page.goto(f"{HOST}/bars/{site.keep(owner='Ada')}")
    site.instead = sign_out
    page.locator(PAUSE).click()
    expect(page.get_by_text("Bitte melden Sie sich wieder an").and_(page.locator(":visible"))).to_have_count(1)
    expect(page.locator("[data-forktask-note=signed-out]")).to_be_visible()
    expect(page.locator(ALERT)).to_be_empty()


def test_an_answer_that_does_not_end_is_given_up(page: Page, site: Site) -> None:
    page.clock.install()
    page.goto(f"{HOST}/bars/{site.keep()}")
    page.evaluate(
        """() => { const ask = window.fetch; window.fetch = (address, { method, signal, ...more }) => {
        if (method !== "POST") return ask(address, { method, signal, ...more });
        const body = new ReadableStream({ start: (answer) => signal.addEventListener("abort", () => answer.error()) });
        const headers = { "Content-Type": "application/problem+json" };
        return Promise.resolve(new Response(body, { status: 409, headers }));
    }; }"""
    )
    page.locator(PAUSE).click()
    page.clock.run_for(16_000)
    expect(page.locator("[data-forktask-sending]")).to_have_count(0)
    expect(page.locator(ALERT)).to_contain_text("Das hat nicht geklappt")


def test_little_is_remembered_of_what_was_shown_however_much_that_was(page: Page, site: Site) -> None:
    page.add_init_script(
        "const set = Map.prototype.set; window.maps = new Set();"
        "Map.prototype.set = function (...given) { window.maps.add(this); return set.apply(this, given); }"
    )
    page.goto(f"{HOST}/bars/{site.keep()}")
    page.evaluate(
        """() => { for (let number = 0; number < 1500; number += 1) {
        const part = document.createElement("div");
        part.className = "forktask-part";
        part.dataset.forktask = number;
        part.textContent = "x".repeat(300);
        bars.append(part);
    } }"""
    )
    pump(page, lambda: page.evaluate("[...maps].some((map) => map.has('1499'))"), "the last one to be seen")
    sizes, longest = page.evaluate(
        """() => [[...maps].map((map) => map.size),
        Math.max(...[...maps].flatMap((map) => [...map.values()]).map((kept) => JSON.stringify(kept).length))]"""
    )
    assert max(sizes) == 1000
    assert longest < 200
