"""The widgets for everyone: with a screen reader, a keyboard, large letters, a small screen, from right to left."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.serving import Server

ENDED = ["focus/failed", "focus/cancelled", "focus/lost", "focus/gone", "away", "corner/completed", "corner/failed"]
PAGES = ["bar/all", "compact/all", "global", "focus/running", "focus/finishing", "gone", "notes", *ENDED]

CUT = """() => [...document.querySelectorAll(".forktask *")].filter((element) => {
    const { overflowX, clipPath } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (clipPath !== "none" || !box.width || element.closest("svg")) return false;
    // Titles in the corner are shortened, and lead to the whole.
    if ([element, element.parentElement].some((one) => getComputedStyle(one).textOverflow === "ellipsis")) return false;
    return box.left < -1 || box.right > innerWidth + 1
        || (["hidden", "clip"].includes(overflowX) && element.tagName !== "PROGRESS"
            && element.scrollWidth > element.clientWidth + 1);
}).map((element) => element.outerHTML.slice(0, 120))"""


@pytest.fixture
def complaints() -> list[str]:
    return ["favicon.ico", "410 (GONE)", "503 (SERVICE UNAVAILABLE)"]


OUT_OF_REACH = """() => {
    const isCovered = (element) => {
        element.scrollIntoView({ block: "center", behavior: "instant" });
        const { left, top, width, height } = element.getClientRects()[0];
        return !element.contains(document.elementFromPoint(left + width / 2, top + height / 2));
    };
    const panel = document.querySelector(".forktask-global-panel");
    const all = [...document.querySelectorAll("a, button, summary")].filter((element) => element.checkVisibility());
    const inside = all.filter((element) => panel?.contains(element) && isCovered(element));
    if (panel) panel.open = false; // what may lie below it
    const outside = all.filter((element) => !panel?.contains(element) && isCovered(element));
    return [...inside, ...outside].map((element) => element.outerHTML.slice(0, 120));
}"""


COLOURS = (
    "() => { const { backgroundColor, color } = getComputedStyle(document.body); return [backgroundColor, color]; }"
)


@cache
def axe() -> str:
    """Return axe-core, whose rules are the WCAG's and good practice."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def findings(page: Page, **options: Any) -> list[Any]:
    """Return what axe finds wrong in the page."""
    found = page.evaluate("options => axe.run(options)", options)["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


def show(page: Page, server: Server, path: str, language: str = "en") -> None:
    """Open a page of the gallery."""
    page.goto(f"{server.url}/{path}?language={language}")
    expect(page.locator(".forktask, .forktask-page").first).to_be_attached()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_axe_finds_nothing(reader: Page, gallery: Server, path: str, language: str) -> None:
    """Of the scheme, the page knows by its style sheet alone: there only the colours differ."""
    show(reader, gallery, path, language)
    assert reader.locator("[dir]").first.get_attribute("dir") == ("rtl" if language == "ar" else "ltr")
    reader.evaluate(axe())
    light = reader.evaluate(COLOURS)
    assert findings(reader) == []
    reader.emulate_media(color_scheme="dark")
    assert reader.evaluate(COLOURS) != light
    assert findings(reader, runOnly=["color-contrast", "link-in-text-block"]) == []


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "ar", "de"])
def test_nothing_overflows_and_no_text_is_cut(reader: Page, gallery: Server, path: str, language: str) -> None:
    reader.set_viewport_size({"width": 320, "height": 800})
    show(reader, gallery, path, language)
    for width, letters in ((320, "100%"), (640, "200%"), (320, "200%")):
        reader.set_viewport_size({"width": width, "height": 800})
        reader.evaluate("size => { document.documentElement.style.fontSize = size }", letters)
        assert reader.evaluate("document.documentElement.scrollWidth") <= width
        assert reader.evaluate(CUT) == []


@pytest.fixture(scope="module")
def magnifier(browser: Browser) -> Iterator[Page]:
    """A tab whose pixels are two of the device."""
    context = browser.new_context(viewport={"width": 640, "height": 400}, device_scale_factor=2)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("path", PAGES)
def test_with_a_zoom_of_200_and_400_percent_all_is_seen_and_reached(
    magnifier: Page, gallery: Server, path: str
) -> None:
    for language, size in ((one, two) for one in ("en", "de") for two in ((640, 400), (320, 256))):
        magnifier.set_viewport_size({"width": size[0], "height": size[1]})
        show(magnifier, gallery, path, language)
        assert magnifier.evaluate("[devicePixelRatio, innerWidth]") == [2, size[0]]
        assert magnifier.evaluate("document.documentElement.scrollWidth") <= size[0]
        assert magnifier.evaluate(CUT) == []
        assert magnifier.evaluate(OUT_OF_REACH) == []
    magnifier.evaluate("localStorage.clear(); sessionStorage.clear()")


@pytest.mark.parametrize("path", [path for path in PAGES if path not in (*ENDED, "focus/finishing")])
def test_nothing_moves_for_those_who_do_not_want_it(reader: Page, gallery: Server, path: str) -> None:
    reader.emulate_media(reduced_motion="no-preference")
    show(reader, gallery, path)
    assert reader.evaluate("document.getAnimations().length") > 0
    reader.emulate_media(reduced_motion="reduce")
    assert reader.evaluate("document.getAnimations().length") == 0


def test_in_a_small_window_the_corner_begins_folded_until_the_person_opens_it(reader: Page, gallery: Server) -> None:
    panel = reader.locator(".forktask-global-panel")
    for (width, height), is_open in {(1280, 900): True, (640, 400): False, (375, 800): False}.items():
        reader.set_viewport_size({"width": width, "height": height})
        show(reader, gallery, "global")
        expect(panel).to_have_js_property("open", is_open)
    panel.locator("summary").first.click()
    show(reader, gallery, "global")
    expect(panel).to_have_js_property("open", True)


def test_all_can_be_done_with_the_keyboard(reader: Page, gallery: Server) -> None:
    reader.goto(f"{gallery.url}/bar/completed-warned")
    expect(reader.get_by_text("Row 7 is empty.")).to_be_hidden()
    for _ in range(10):
        reader.keyboard.press("Tab")
        if reader.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    reader.keyboard.press("Enter")
    expect(reader.get_by_text("Row 7 is empty.")).to_be_visible()
