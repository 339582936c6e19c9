"""The demo as a person uses it, under gunicorn, in a real browser."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.conftest import PATIENCE, copy_demo
from tests.e2e.serving import ROOT, Server, processes_in
from tests.waiting import wait_until

SCREENSHOTS = ROOT / "tests" / "screenshots"


def card(page: Page, kind: str) -> Locator:
    """Return the card of one kind of task."""
    return page.locator(f"#{kind}")


def press(page: Page, kind: str) -> Locator:
    """Press the button of a card; return the card."""
    card(page, kind).locator("button").click()
    return card(page, kind)


def test_the_example_is_imported_before_ones_eyes(page: Page, demo: Server) -> None:
    page.add_init_script(
        """window.shares = []; document.addEventListener("forktask:progress", (event) =>
        event.detail.percent && window.shares.push(event.detail.percent))"""
    )
    page.goto(demo.url)
    imported = press(page, "import")
    expect(imported).to_contain_text("Done", timeout=60_000)
    expect(imported).to_contain_text("200,000 rows in 6 columns")
    expect(imported.locator(".forktask-step-done")).to_have_count(3)
    expect(imported.get_by_role("row", name="city")).to_contain_text("Zürich")
    shares = page.evaluate("window.shares")
    assert len(shares) > 2
    assert shares == sorted(shares)


def test_a_file_of_ones_own_is_imported(page: Page, demo: Server, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(
        '\ufeffname;age;<b>town</b>\n"Sørensen; Åse";41;Oslo\nBo;9\n\nZoë;7;"Ŝan\nJuan"\n', encoding="utf-8"
    )
    page.goto(demo.url)
    card(page, "import").locator("input[type=file]").set_input_files(file)
    imported = press(page, "import")
    expect(imported).to_contain_text("3 rows in 3 columns", timeout=30_000)
    rows = imported.locator("tbody tr")
    assert rows.nth(0).locator("th, td").all_inner_texts() == ["name", "3", "3", "Bo", "Zoë"]
    assert rows.nth(1).locator("th, td").all_inner_texts() == ["age", "3", "3", "7", "41"]
    assert rows.nth(2).locator("th, td").all_inner_texts()[:3] == ["<b>town</b>", "2", "2"]
    expect(imported.locator(".forktask-step-done")).to_have_text([re.compile("Importing"), re.compile("Looking")])
    imported.locator("summary").click()
    expect(imported).to_contain_text("has 2 fields instead of 3")


def test_an_empty_file_is_refused_with_a_sentence(page: Page, demo: Server, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    page.goto(demo.url)
    card(page, "import").locator("input[type=file]").set_input_files(tmp_path / "empty.csv")
    expect(press(page, "import")).to_contain_text("There is nothing in this file.", timeout=30_000)


def test_a_report_counts_what_nobody_knows_the_total_of(page: Page, demo: Server) -> None:
    page.goto(demo.url)
    report = press(page, "report")
    expect(report.locator(".forktask-count")).to_have_text(re.compile(r"^[\d\u202f]+ files$"), timeout=30_000)
    expect(report.locator("progress.forktask-bar")).not_to_have_attribute("value", re.compile("."))
    expect(report).to_contain_text("Done", timeout=60_000)
    expect(report).to_contain_text("functions")


@pytest.mark.parametrize(
    ("button", "place"),
    [("Add up", "#checksum .forktask-compact"), ("Watch it", "#by-script .forktask-progress")],
    ids=["the answer to htmx", "by script"],
)
def test_a_bar_appears_where_the_button_is_and_follows(page: Page, demo: Server, button: str, place: str) -> None:
    page.goto(demo.url)
    before = page.url
    page.get_by_role("button", name=button).click()
    bar = page.locator(place)
    expect(bar).to_contain_text("Checksum")
    expect(bar.get_by_text("Cancel", exact=True)).to_be_visible()
    expect(bar).to_contain_text("Done")
    expect(bar.locator("progress")).to_have_attribute("value", "100")
    assert page.url == before


def test_a_start_by_script_that_fails_is_told_and_the_button_keeps_the_focus(page: Page, demo: Server) -> None:
    page.goto(demo.url)
    page.route("**/checksum/by-script", lambda route: route.fulfill(status=204))
    button = page.get_by_role("button", name="Watch it")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").get_by_text("could not be started")).to_be_visible()
    expect(button).to_be_focused()


def test_a_failure_and_a_kill_are_told_and_a_reload_keeps_them(page: Page, demo: Server) -> None:
    page.goto(demo.url)
    press(page, "fail")
    press(page, "crash")
    expect(card(page, "crash")).to_contain_text("killed (SIGKILL)", timeout=30_000)
    expect(card(page, "fail")).to_contain_text("Something went wrong", timeout=30_000)
    page.reload()
    expect(card(page, "crash")).to_contain_text("killed (SIGKILL)")
    expect(card(page, "fail").locator(".forktask-reference")).to_be_visible()
    assert "swordfish" not in page.content()


def test_it_fits_phones_and_desktops_in_light_and_dark(browser: Browser, page: Page, demo: Server) -> None:
    page.goto(demo.url)
    # All at once; first it is the report's turn, whose number of files is told while it runs.
    ends = {"report": "files", "fail": "Failed", "crash": "Failed", "import": "Done"}
    for kind in reversed(ends):
        press(page, kind)
    for kind, end in ends.items():
        expect(card(page, kind)).to_contain_text(end, timeout=60_000)
    known = page.context.storage_state()
    SCREENSHOTS.mkdir(exist_ok=True)
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for name, width, scheme in [(n, w, s) for n, w in (("phone", 375), ("desktop", 1280)) for s in schemes]:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, storage_state=known
        )
        view = context.new_page()
        view.goto(demo.url)
        expect(card(view, "import")).to_contain_text("Zürich")
        assert view.evaluate("document.documentElement.scrollWidth") <= width
        view.screenshot(path=SCREENSHOTS / f"demo-{name}-{scheme}.png", full_page=True)
        context.close()


@pytest.mark.parametrize("command", ["demo_app.py", "-m flask --app demo_app run --port 0"])
def test_it_runs_under_the_development_server(page: Page, tmp_path: Path, command: str) -> None:
    copy_demo(tmp_path)
    log = tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": "0", "FORKTASK_IDLE_EXIT": "0.5"}
    with log.open("wb") as output:
        program = subprocess.Popen(
            [sys.executable, *command.split()], cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: "Running on" in log.read_text(), PATIENCE, "the address")
        page.goto(re.findall(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())[0])
        expect(press(page, "crash")).to_contain_text("killed (SIGKILL)", timeout=30_000)
        assert (tmp_path / "instance" / "secret_key").stat().st_mode & 0o777 == 0o600
    finally:
        program.terminate()
        program.wait()
    wait_until(lambda: not processes_in(tmp_path), 30, "everything to end")
