"""The demo's page of what need not be done at once."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from forktask.store import Store
from tests.e2e.conftest import PATIENCE
from tests.e2e.serving import Server
from tests.waiting import wait_until


def order(page: Page, number: str, when: str, before: str = "normal") -> None:
    """Print letters."""
    for label in (number, when, before):
        page.get_by_label(label, exact=True).check()
    page.get_by_role("button", name="Print").click()


def test_letters_wait_for_their_time_and_take_turns(page: Page, demo: Server) -> None:
    page.goto(f"{demo.url}/queue/")
    expect(page.get_by_text("You have ordered none yet.")).to_be_visible()
    order(page, "1", "in 2 minutes", "first")
    letters = page.locator("#letters .forktask")
    expect(letters).to_have_count(1)
    expect(letters.first).to_contain_text("Letter, first")
    expect(letters.first).to_contain_text("Starts in 2 min")
    letters.first.get_by_text("Cancel", exact=True).click()
    letters.first.get_by_role("button", name="Yes, cancel").click()
    expect(letters.first).to_contain_text("Cancelled")
    order(page, "6", "now")
    expect(letters).to_have_count(7)
    expect(page.get_by_text("Number 3 in line")).to_be_visible()
    for number in range(6):
        expect(letters.nth(number)).to_contain_text("Done")


def test_the_paper_is_looked_at_again_and_again(page: Page, demo: Server) -> None:
    page.goto(f"{demo.url}/queue/")
    order(page, "1", "now")
    store = Store(f"sqlite:///{demo.folder}/instance/forktask.sqlite")
    try:
        wait_until(lambda: [(row.name, row.every) for row in store.schedules()[0]] == [("paper", 120)], PATIENCE, "it")
    finally:
        store.close()
