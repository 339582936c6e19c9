"""The page between two steps, in a real browser."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from forktask import process
from forktask.rows import StatusRow
from forktask.store import Store
from tests.e2e.conftest import PATIENCE, Pay, Steered, fill, press_twice, writing_end
from tests.e2e.serving import Server
from tests.runtimes import the_supervisor
from tests.waiting import wait_until

STEP = "[data-forktask-focus]"
BAR = f"{STEP} progress.forktask-bar"


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "dialog: "]


@pytest.fixture
def store(steered: Server) -> Iterator[Store]:
    store = Store(f"sqlite:///{steered.folder}/forktask.sqlite")
    yield store
    store.close()


def started(store: Store, pipe: Path) -> list[StatusRow]:
    """Return the statuses whose task reads this pipe."""
    return [row for row in store.find() if row.settings == {"pipe": str(pipe)}]


def calls(server: Server, status: str) -> int:
    """Return how often the completion hook was called."""
    file = server.folder / "calls"
    return sum(line.startswith(status) for line in file.read_text().splitlines()) if file.exists() else 0


def heard(page: Page) -> list[str]:
    """Return the list of questions that the browser asks from now on; each is answered with yes."""
    asked: list[str] = []

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", answer)
    return asked


def test_a_task_that_takes_longer_shows_a_page_and_goes_on_at_its_end(page: Page, steered: Server, pay: Pay) -> None:
    task = pay()
    expect(page.get_by_role("heading", name="Please wait")).to_be_visible()
    task.tell(percent=40)
    expect(page.locator(BAR)).to_have_attribute("value", "40")
    asked = heard(page)
    page.locator(STEP).click()
    task.tell(end=True)
    expect(page).to_have_url(f"{steered.url}/arrived")
    page.go_back()
    expect(page).to_have_url(re.compile("/pay"))
    assert asked == []


@pytest.mark.parametrize("kind", ["plain", "boosted", "posted"])
def test_a_task_that_is_done_in_time_shows_no_page(page: Page, steered: Server, tmp_path: Path, kind: str) -> None:
    pages: list[str] = []
    page.on("domcontentloaded", lambda document: pages.append(urlsplit(document.url).path))
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fill(page, steered, path, f"kind={kind}&wait={PATIENCE}")

    def end() -> None:
        pipe = wait_until(lambda: writing_end(path), PATIENCE, "the task to open its pipe")
        assert pipe is not None
        os.write(pipe, b'{"end": 1}\n')
        os.close(pipe)

    thread = Thread(target=end)
    thread.start()
    page.get_by_role("button", name="Pay").click()
    expect(page).to_have_url(f"{steered.url}/arrived")
    thread.join()
    page.wait_for_load_state()  # the address changes before the page is read
    assert pages == ["/pay", "/arrived"]


def test_a_failed_task_never_arrives_and_shows_the_way_back(page: Page, steered: Server, pay: Pay) -> None:
    visited: list[str] = []
    page.on("request", lambda request: visited.append(request.url))
    task = pay("hook=1")
    task.tell(**{"raise": "password=swordfish"})
    expect(page.get_by_role("heading", name="This did not work")).to_be_visible()
    expect(page.locator(".forktask-reference")).to_be_visible()
    assert "swordfish" not in page.content()
    page.get_by_role("link", name="Go back").click()
    expect(page).to_have_url(f"{steered.url}/pay?tried=once")
    assert not [url for url in visited if "/arrived" in url]
    assert calls(steered, task.id) == 0


def test_a_cancelled_and_a_lost_task_say_so(page: Page, pay: Pay, store: Store) -> None:
    store.request_cancel(UUID(pay().id))
    expect(page.get_by_role("heading", name="Cancelled")).to_be_visible()
    expect(page.get_by_role("link", name="Go back")).to_be_visible()
    pay()
    process.send_signal(the_supervisor(store), signal.SIGKILL)
    expect(page.get_by_role("heading", name="We do not know how this ended")).to_be_visible()
    expect(page.get_by_role("link", name="Go back")).to_be_visible()


def test_a_task_that_is_started_again_is_waited_for_and_arrives(
    page: Page, steered: Server, pay: Pay, tmp_path: Path
) -> None:
    pay().tell(**{"raise": "no"})
    expect(page.get_by_role("heading", name="This did not work")).to_be_visible()
    page.get_by_role("button", name="Start again").click()
    expect(page.get_by_role("heading", name="Please wait")).to_be_visible()
    pipe = wait_until(lambda: writing_end(tmp_path / "pipe0"), PATIENCE, "the task to open its pipe again")
    assert pipe is not None
    Steered("", pipe).tell(end=True)
    os.close(pipe)
    expect(page).to_have_url(f"{steered.url}/arrived")


def test_leaving_warns_and_a_reload_shows_the_same_task(page: Page, steered: Server, pay: Pay) -> None:
    task = pay()
    asked = heard(page)
    page.locator(STEP).click()
    page.reload()
    assert asked == ["beforeunload"]
    assert page.locator(STEP).get_attribute("data-forktask-status") == task.id
    task.tell(percent=40)
    expect(page.locator(BAR)).to_have_attribute("value", "40")


def test_back_starts_nothing_and_forward_is_the_same_task(
    page: Page, pay: Pay, store: Store, tmp_path: Path, steered: Server
) -> None:
    task = pay()
    heard(page)
    page.go_back()
    expect(page.get_by_role("button", name="Pay")).to_be_visible()
    page.go_forward()
    expect(page.locator(STEP)).to_have_attribute("data-forktask-status", task.id)
    task.tell(end=True)
    expect(page).to_have_url(f"{steered.url}/arrived")
    assert len(started(store, tmp_path / "pipe0")) == 1


def test_two_tabs_arrive_and_the_hook_is_called_once(
    page: Page, context: BrowserContext, steered: Server, pay: Pay
) -> None:
    task = pay("hook=1")
    other = context.new_page()
    other.goto(page.url)
    expect(other.locator(STEP)).to_have_attribute("data-forktask-status", task.id)
    task.tell(end=True)
    for tab in (page, other):
        expect(tab).to_have_url(f"{steered.url}/arrived?by=hook")
    assert calls(steered, task.id) == 1


def test_another_browser_finds_nothing(page: Page, browser: Browser, pay: Pay) -> None:
    pay()
    stranger = browser.new_context()
    response = stranger.new_page().goto(page.url)
    assert response is not None
    assert response.status == 404
    stranger.close()


def test_a_double_click_of_which_both_arrive_starts_one_task(
    page: Page, steered: Server, store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fill(page, steered, path)
    first, second = press_twice(page, "**/pay", page.get_by_role("button", name="Pay"))
    assert first.fetch(max_redirects=0).status == 303
    second.continue_()
    expect(page.locator(STEP)).to_be_visible()
    pipe = wait_until(lambda: writing_end(path), PATIENCE, "the task to open its pipe")
    assert pipe is not None
    tasks = started(store, path)
    os.write(pipe, b'{"end": 1}\n')
    os.close(pipe)
    assert len(tasks) == 1
    expect(page).to_have_url(f"{steered.url}/arrived")


def test_of_eight_polls_in_two_workers_one_calls_the_hook(
    page: Page, context: BrowserContext, steered: Server, pay: Pay, store: Store
) -> None:
    task = pay("hook=1")
    address = urlsplit(page.url)
    cookies = "; ".join(f"{cookie.get('name')}={cookie.get('value')}" for cookie in context.cookies())
    heard(page)
    page.goto("about:blank")
    hold = steered.folder / "hold"
    hold.touch()
    task.tell(end=True)
    wait_until(lambda: store.find(limit=1)[0].finished_at, PATIENCE, "the end of the task")

    def ask(_: int) -> tuple[int, str]:
        connection = HTTPConnection("127.0.0.1", address.port or 0, timeout=60)
        connection.request("GET", f"{address.path}?{address.query}", headers={"Cookie": cookies})
        answer = connection.getresponse()
        found = answer.status, answer.headers.get("Location") or answer.read().decode()
        connection.close()
        return found

    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(ask, number) for number in range(8)]
        wait_until(lambda: sum(answer.done() for answer in answers) == 7, PATIENCE, "all but one to be answered")
        hold.unlink()
    told = sorted(answer.result() for answer in answers)
    assert [status for status, _ in told] == [200] * 7 + [303]
    assert all("Almost there" in text for _, text in told[:7])
    assert told[7][1] == "/arrived?by=hook"
    assert ask(0) == (303, "/arrived?by=hook")
    assert calls(steered, task.id) == 1


def test_without_javascript_the_page_refreshes_itself_and_arrives(browser: Browser, steered: Server, pay: Pay) -> None:
    context = browser.new_context(java_script_enabled=False)
    quiet = context.new_page()
    task = pay("hook=1", tab=quiet)
    task.tell(percent=40)
    expect(quiet.locator(BAR)).to_have_attribute("value", "40")
    task.tell(end=True)
    expect(quiet).to_have_url(f"{steered.url}/arrived?by=hook")
    context.close()


def test_after_a_while_one_may_leave(page: Page, steered: Server, pay: Pay) -> None:
    page.clock.install()
    pay()
    asked = heard(page)
    leave = page.get_by_role("link", name="Leave this page")
    expect(leave).to_be_hidden()
    page.clock.fast_forward(11_000)
    expect(leave).to_be_visible()
    leave.click()
    expect(page).to_have_url(f"{steered.url}/left")
    assert asked == []
