"""What a screen reader, the page's own script and the browser's notices are told."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e.conftest import PATIENCE, Steer, Steered, writing_end
from tests.e2e.serving import Server
from tests.waiting import wait_until

LISTEN = """() => { window.spoken = []; window.heard = []; const live = document.querySelector("[role=status]");
    new MutationObserver(() => window.spoken.push(live.textContent))
        .observe(live, { childList: true, characterData: true, subtree: true });
    for (const name of ["started", "progress", "completed", "failed", "cancelled", "lost"])
        document.addEventListener("forktask:" + name, (event) => window.heard.push([name, event.detail])); }"""
NOTICES = """() => { window.notices = []; window.asked = 0;
    window.Notification = class extends EventTarget {
        constructor(title, options) { super(); window.notices.push([title, options.body]); }
        static permission = "default";
        static async requestPermission() { window.asked += 1; return Notification.permission = "granted"; } };
    Object.defineProperty(document, "hasFocus", { value: () => false }); }"""


def begun(page: Page, server: Server, path: Path) -> Steered:
    """Show a task that waits, and return it once it has begun."""
    os.mkfifo(path)
    status_id = page.request.post(f"{server.url}/start", form={"pipe": str(path), "later": "3"}).text()
    page.goto(f"{server.url}/show/plain/{status_id}")
    page.evaluate(LISTEN)
    expect(page.locator("[data-forktask]")).to_have_attribute("data-forktask-state", "queued")
    pipe = wait_until(lambda: writing_end(path), PATIENCE, "the task to open its pipe")
    assert pipe is not None
    expect(page.locator("[data-forktask]")).to_have_attribute("data-forktask-state", "running")
    return Steered(status_id, pipe)


def test_a_screen_reader_hears_start_quarters_and_end_and_no_more(page: Page, steered: Server, tmp_path: Path) -> None:
    task = begun(page, steered, tmp_path / "pipe")
    for percent in (1, 10, 26, 40, 49, 51, 60, 74, 80, 81, 99):
        task.tell(percent=percent, message="Importing")
        expect(page.locator("progress")).to_have_attribute("value", str(percent))
    task.tell(end=True)
    expect(page.locator("[data-forktask]")).to_contain_text("Done")
    spoken = page.evaluate("window.spoken")
    assert spoken == [f"Steered <task>: {text}" for text in (
        "Running", "Importing, 26%", "Importing, 51%", "Importing, 80%", "Done, 100%")]  # fmt: skip
    heard = page.evaluate("window.heard")
    assert [name for name, _ in heard if name != "progress"] == ["started", "completed"]
    started = next(detail for name, detail in heard if name == "started")
    assert started == {"id": task.id, "state": "running", "percent": None}
    os.close(task.pipe)


def test_the_browser_tells_when_it_is_ready_to_those_who_pressed_the_button(
    page: Page, steered: Server, steer: Steer
) -> None:
    page.add_init_script(f"({NOTICES})()")
    first, second = steer(), steer()
    page.goto(f"{steered.url}/show/plain/{first.id}/{second.id}")
    first.tell(end=True)
    expect(page.locator("[data-forktask]").first).to_contain_text("Done")
    button = page.get_by_role("button", name="Tell me when it is ready")
    expect(button).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("[window.asked, window.notices.length]") == [0, 0]
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    second.tell(**{"raise": "no"})
    expect(page.locator("[data-forktask]").nth(1)).to_contain_text("Something went wrong")
    assert page.evaluate("window.asked") == 1
    assert page.evaluate("window.notices") == [
        ["Steered", "Steered <task>: Failed, Something went wrong while this was running."]
    ]
