"""The demo's three steps of a payment: details, please wait, thanks."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.serving import Server


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "dialog: "]


def pay(page: Page, demo: Server, answer: str) -> None:
    """Fill in the first step."""
    page.goto(f"{demo.url}/checkout/")
    page.get_by_label("Amount").fill("17.50")
    page.get_by_label(answer, exact=True).check()
    page.get_by_role("button", name="Pay").click()


def receipts(demo: Server) -> int:
    with closing(sqlite3.connect(demo.folder / "instance" / "demo.sqlite")) as database:
        return int(database.execute("SELECT count(*) FROM receipt").fetchone()[0])


def test_a_payment_waits_for_the_bank_and_writes_one_receipt(page: Page, demo: Server) -> None:
    pay(page, demo, "slowly")
    expect(page.get_by_role("heading", name="Please wait")).to_be_visible()
    expect(page.get_by_text("Your bank is asked for 17.50")).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url)
    for tab in (page, other):
        expect(tab.get_by_role("heading", name="Thank you")).to_be_visible(timeout=60_000)
        expect(tab.get_by_text("We received 17.50 and wrote 1 receipt.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Your payment")).to_be_visible()


def test_a_payment_that_is_declined_goes_back_to_the_details(page: Page, demo: Server) -> None:
    pay(page, demo, "at once")
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=60_000)
    before = receipts(demo)
    pay(page, demo, "no")
    expect(page.get_by_role("heading", name="This did not work")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Nothing was charged")).to_be_visible()
    page.get_by_role("link", name="Go back").click()
    expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    page.goto(f"{demo.url}/checkout/thanks")
    expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    assert receipts(demo) == before
