"""Forms with a token, sent from a real browser: what is the same order and what another."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import Pay, fill, need_htmx
from tests.e2e.serving import Server
from tests.e2e.test_focus import STEP, heard

FIELD = "input[name=forktask_form_token]"
WAYS = [("plain", ""), ("boosted", "2"), ("posted", "2"), ("boosted", "4"), ("posted", "4")]


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "dialog: "]


@pytest.mark.parametrize(("kind", "htmx"), WAYS)
def test_back_from_the_page_that_waits_is_the_same_order(
    page: Page, pay: Pay, tmp_path: Path, kind: str, htmx: str
) -> None:
    need_htmx(htmx)
    task = pay(f"kind={kind}&htmx={htmx}")
    heard(page)
    page.go_back()
    page.get_by_label("Pipe").fill(str(tmp_path / "pipe0"))
    page.get_by_role("button", name="Pay").click()
    expect(page.locator(STEP)).to_have_attribute("data-forktask-status", task.id)


def test_what_is_sent_after_a_reload_is_another_order_also_when_one_comes_back_to_it(
    page: Page, steered: Server, pay: Pay
) -> None:
    pay()
    heard(page)
    field = page.locator(FIELD)
    page.go_back()
    first = field.input_value()
    page.reload()
    expect(field).not_to_have_value(first)
    page.goto(f"{steered.url}/site")
    page.go_back()
    expect(page.get_by_role("heading", name="Pay")).to_be_visible()
    expect(field).not_to_have_value(first)


def test_a_state_of_the_history_that_is_no_object_is_left_alone(page: Page, steered: Server, tmp_path: Path) -> None:
    fill(page, steered, tmp_path / "none")
    page.evaluate("history.replaceState('mine', '')")
    sent(page)
    assert page.evaluate("history.state") == "mine"


def test_a_field_that_names_its_form_is_remembered(page: Page, steered: Server, tmp_path: Path) -> None:
    fill(page, steered, tmp_path / "none")
    outside(page.locator(FIELD))
    value = page.locator(FIELD).input_value()
    sent(page)
    assert list(page.evaluate("history.state.forktaskForms").values()) == [value]


def outside(field: Locator) -> None:
    """Put the field beside its form, and let it name it."""
    field.evaluate(
        "(field) => { field.form.id = 'pay'; field.setAttribute('form', 'pay'); document.body.append(field); }"
    )


def sent(page: Page) -> None:
    """Send the form, as far as scripts see it."""
    page.evaluate("addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_role("button", name="Pay").click()
