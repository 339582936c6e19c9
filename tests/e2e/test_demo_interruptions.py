"""What comes between a person and a task of the demo: reload, other tabs, other browsers, kill, restart, sleep."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from forktask import State, process
from forktask.rows import StatusRow
from forktask.store import Store
from tests.e2e.conftest import press_twice
from tests.e2e.serving import Server
from tests.e2e.test_checkout import pay
from tests.e2e.test_demo import press
from tests.e2e.test_focus import heard
from tests.e2e.test_widget import polls_of
from tests.waiting import wait_until

ROWS = 8_000_000
"""Of a file that takes longer than a test; whoever imports it cancels it."""
BAR = "#import progress.forktask-bar"
TWO_SECONDS = 4
"""In polls of the demo, so that a busy machine, where they come later, does not matter."""
PAYMENT = "demo.checkout.PaymentTask"


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "net::ERR_", "dialog: "]


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("big") / "big.csv"
    file.write_text("a,b\n" + "1,2\n" * ROWS)
    return file


@pytest.fixture
def store(demo: Server) -> Iterator[Store]:
    store = Store(f"sqlite:///{demo.folder}/instance/forktask.sqlite")
    yield store
    store.close()


@pytest.fixture
def importing(page: Page, demo: Server, store: Store, big: Path) -> Iterator[Locator]:
    """The card of an import that has begun, and takes longer than anybody waits; it is ended after the test."""
    page.goto(demo.url)
    page.locator("#import input[type=file]").set_input_files(big)
    card = press(page, "import")
    wait_until(lambda: newest(store).state is State.RUNNING, 30, "the import to begin")
    status = newest(store)
    yield card
    store.request_cancel(status.id)
    wait_until(lambda: (row := store.get(status.id)) and row.state.is_final, 30, "the end of the import")


def newest(store: Store) -> StatusRow:
    return store.find(limit=1)[0]


def value(page: Page) -> float:
    """Return how far the bar is."""
    return float(page.locator(BAR).get_attribute("value") or 0)


def moves(page: Page, begin: float) -> float:
    """Wait until the bar stands further than at `begin`; return where."""
    wait_until(lambda: value(page) > begin, 30, f"the bar to pass {begin}")
    return value(page)


def test_a_reload_and_a_second_tab_show_the_same_bar_and_another_browser_nothing(
    page: Page, context: BrowserContext, browser: Browser, demo: Server, importing: Locator
) -> None:
    begin = moves(page, 0)
    page.reload()
    assert value(page) >= begin
    second = context.new_page()
    second.goto(demo.url)
    assert value(second) >= begin
    for tab in (page, second):
        moves(tab, value(tab))
    token = importing.locator("[data-forktask-token]").get_attribute("data-forktask-token")
    address = f"{demo.url}/forktask/progress/{token}"
    stranger = browser.new_context()
    there = stranger.new_page()
    answers = there.goto(address), page.request.get(address)
    assert [answer.status for answer in answers if answer] == [404, 200]
    there.goto(demo.url)
    expect(there.locator(".forktask-progress")).to_have_count(0)
    stranger.close()


def test_a_click_on_cancel_ends_it(page: Page, importing: Locator, store: Store) -> None:
    moves(page, 0)
    importing.get_by_text("Cancel", exact=True).click()
    importing.get_by_role("button", name="Yes, cancel").click()
    expect(importing).to_contain_text("Cancelled")
    expect(importing.get_by_role("button", name="Start again")).to_be_visible()
    assert newest(store).state is State.CANCELLED


def test_the_kill_of_its_process_is_told_within_two_seconds(page: Page, importing: Locator, store: Store) -> None:
    moves(page, 0)
    row = newest(store)
    assert row.runner_pid is not None
    asked = polls_of(page)
    assert process.send_signal(process.identify(row.runner_pid), signal.SIGKILL)
    expect(importing).to_contain_text("killed (SIGKILL)")
    assert asked() <= TWO_SECONDS
    expect(importing.locator(".forktask-reference")).to_be_visible()


def test_the_bar_goes_on_after_a_restart_of_the_server(page: Page, demo: Server, importing: Locator) -> None:
    begin = moves(page, 0)
    demo.stop()
    expect(page.get_by_text("No connection")).to_be_visible()
    assert value(page) >= begin
    demo.start()
    expect(page.get_by_text("No connection")).to_be_hidden()
    moves(page, value(page))
    expect(importing.get_by_text("Cancel", exact=True)).to_be_visible()


def test_a_tab_that_slept_asks_nothing_and_is_right_at_once_when_it_wakes(
    page: Page, context: BrowserContext, importing: Locator, store: Store
) -> None:
    begin = moves(page, 0)
    polls = polls_of(page)
    tab = context.new_cdp_session(page)
    tab.send("Debugger.enable")
    tab.send("Debugger.pause")  # no script runs, as in the sleep of a tab or of the machine
    asked = polls()
    wait_until(lambda: (newest(store).percent or 0) > begin + 5, 30, "the import to go on")
    context.cookies()  # what the browser sent is told meanwhile
    assert polls() <= asked + 1  # one may have been under way
    asked = polls()
    tab.send("Debugger.resume")
    wait_until(lambda: value(page) > begin + 4, 30, "the bar to be right")
    assert polls() <= asked + TWO_SECONDS


def test_a_double_click_starts_one_task_when_both_arrive(page: Page, demo: Server, store: Store) -> None:
    before, sent = started(store, "demo_app.FailingTask"), len(demo.requests('"POST /fail '))
    page.goto(demo.url)
    first, second = press_twice(page, "**/fail", page.locator("#fail").get_by_role("button"))
    assert first.fetch(max_redirects=0).status == 302
    second.continue_()
    expect(page.locator("#fail")).to_contain_text("Something went wrong")
    assert len(demo.requests('"POST /fail ')) == sent + 2
    assert started(store, "demo_app.FailingTask") == before + 1


def test_back_from_the_page_that_waits_pays_once_and_a_reload_is_another_order(
    page: Page, demo: Server, store: Store
) -> None:
    before = started(store, PAYMENT)
    heard(page)
    pay(page, demo, "slowly")
    expect(page.get_by_role("heading", name="Please wait")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Your payment")).to_be_visible()
    field = page.locator("input[name=forktask_form_token]")
    first = field.input_value()
    page.get_by_role("button", name="Pay").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_text("wrote 1 receipt.")).to_be_visible()
    assert started(store, PAYMENT) == before + 1
    page.go_back()
    expect(field).to_have_value(first)
    page.reload()
    expect(field).not_to_have_value(first)


def started(store: Store, task: str) -> int:
    return len(store.find(task=task))
