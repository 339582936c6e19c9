"""A browser, and sites to look at."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect, sync_playwright

from tests.e2e.routed import Site
from tests.e2e.serving import ROOT, Server, served
from tests.waiting import wait_until
from tools import htmx4

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
PATIENCE = 60.0
"""Seconds: the machine may be busy with other tests."""
NO_SITE = "net::ERR_NAME_NOT_RESOLVED"
"""What a page says that still asks when the site of its test, which has no address, answers no more."""
NOT_NEEDED = (
    "WebUIOmniboxPopup WebUIOmniboxAimPopup "
    # What Playwright switches off by itself, as the last list is the one that counts.
    "AimEnabled AvoidCorsURLLoaderRestartOnRedirect AvoidUnnecessaryBeforeUnloadCheckSync DestroyProfileOnBrowserClose "
    "HttpsFirstBalancedModeAutoEnable HttpsUpgrades LensOverlay MediaRouter NetworkTimeServiceQuerying "
    "OptimizationHints PaintHolding PreconnectToSearch ThirdPartyStoragePartitioning"
)
"""The suggestions below the address are pages of their own: to load them takes thrice what a test takes."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    f"--disable-features={','.join(NOT_NEEDED.split())}",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; without one the tests are skipped at a desk and fail where CI is true."""
    if not Path(CHROMIUM).exists():
        missing = f"there is no browser at {CHROMIUM}: apt-get install chromium"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser may complain of in this test; see `page`."""
    return ["favicon.ico"]


@pytest.fixture
def page(context: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A tab that complains of nothing: no violation of the Content-Security-Policy, no error in a script."""
    page = context.new_page()
    heard = hear(page)
    yield page
    assert_silent(heard, complaints)


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """A profile for all tests of a module that only look: to make one takes longer than they do."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context
    context.close()


@pytest.fixture
def reader(profile: BrowserContext, complaints: list[str]) -> Iterator[Page]:
    """A tab of the module's profile that complains of nothing, as `page`; the profile remembers nothing of it."""
    page = profile.new_page()
    heard = hear(page)
    yield page
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.close()
    profile.clear_cookies()
    assert_silent(heard, complaints)


def hear(page: Page) -> list[str]:
    """Return the list of what a tab complains of from now on."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"{message.type}: {message.text} {message.location}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
    return heard


def assert_silent(heard: list[str], complaints: list[str]) -> None:
    assert not [text for text in heard if not any(allowed in text for allowed in (*complaints, NO_SITE))]


@pytest.fixture
def site(page: Page, tmp_path: Path) -> Iterator[Site]:
    """A site of this process, at which nothing but `page` looks."""
    site = Site(tmp_path, page)
    yield site
    page.unroute_all(behavior="ignoreErrors")
    site.store.close()


@pytest.fixture(scope="session")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The site of steered.py."""
    folder = tmp_path_factory.mktemp("steered")
    with served("tests.e2e.steered:app", folder, STEERED_FOLDER=str(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The site of gallery.py."""
    folder = tmp_path_factory.mktemp("gallery")
    with served("tests.e2e.gallery:app", folder, GALLERY_FOLDER=str(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The demo, in a folder of its own, as after a fresh clone."""
    with served("demo_app:app", copy_demo(tmp_path_factory.mktemp("demo"))) as server:
        yield server


def copy_demo(folder: Path) -> Path:
    """Put the demo into a folder, as a fresh clone has it."""
    shutil.copy(ROOT / "demo_app.py", folder)
    shutil.copytree(ROOT / "demo", folder / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@dataclass(frozen=True, slots=True)
class Steered:
    """A running task that does as it is told."""

    id: str
    pipe: int

    def tell(self, **order: Any) -> None:
        """Write one order."""
        os.write(self.pipe, json.dumps(order).encode() + b"\n")


def writing_end(path: Path) -> int | None:
    """Return a descriptor of the pipe as soon as somebody reads it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None


Steer = Callable[[], Steered]


@pytest.fixture
def steer(steered: Server, page: Page, tmp_path: Path) -> Iterator[Any]:
    """Return a function that starts a task, as the person of `page`; all are ended after the test."""
    tasks: list[Steered] = []

    def start() -> Steered:
        path = tmp_path / f"pipe{len(tasks)}"
        os.mkfifo(path)
        status_id = page.request.post(f"{steered.url}/start", form={"pipe": str(path)}).text()
        pipe = wait_until(lambda: writing_end(path), PATIENCE, "the task to open its pipe")
        assert pipe is not None
        tasks.append(Steered(status_id, pipe))
        return tasks[-1]

    yield start
    for task in tasks:
        with suppress(BrokenPipeError):  # it ended by itself
            task.tell(end=True)
        os.close(task.pipe)


Pay = Callable[..., Steered]


@pytest.fixture
def pay(steered: Server, page: Page, tmp_path: Path) -> Iterator[Pay]:
    """Return a function that fills in the form, presses the button, and gives the task of the page that follows."""
    pipes: list[int] = []

    def press(query: str = "", tab: Page = page) -> Steered:
        path = tmp_path / f"pipe{len(pipes)}"
        os.mkfifo(path)
        fill(tab, steered, path, query)
        tab.get_by_role("button", name="Pay").click()
        status = tab.locator("[data-forktask-focus]").get_attribute("data-forktask-status")
        pipe = wait_until(lambda: writing_end(path), PATIENCE, "the task to open its pipe")
        assert status is not None
        assert pipe is not None
        pipes.append(pipe)
        return Steered(status, pipe)

    yield press
    for pipe in pipes:
        with suppress(BrokenPipeError):
            Steered("", pipe).tell(end=True)
        os.close(pipe)


def press_twice(page: Page, address: str, button: Locator) -> list[Route]:
    """Press a button twice; return the two requests, neither of which was sent on.

    By coordinates: what looks for the button after the first press waits for the page that follows.
    """
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(address, hold)
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    for _ in range(2):
        with page.expect_request(address):
            page.mouse.click(box["x"] + 5, box["y"] + 5)
    # A request is told of before it is handed over, and the page, which is being left, answers no question meanwhile.
    wait_until(lambda: page.context.cookies() is not None and len(held) == 2, PATIENCE, "both requests to be held")
    return held


def need_htmx(version: str) -> None:
    """Skip a test with an htmx that is not there, or fail it where CI is true."""
    if version == "4" and not htmx4.is_there():
        missing = f"there is no {htmx4.PACKAGE}: python tools/htmx4.py"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)


def fill(page: Page, server: Server, pipe: Path, query: str = "") -> None:
    page.goto(f"{server.url}/pay?{query}")
    page.get_by_label("Pipe").fill(str(pipe))
