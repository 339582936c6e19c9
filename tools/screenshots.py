"""Take a picture of every widget in every state: `make screenshots`. They are looked at, not compared.

python tools/screenshots.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from tests.e2e.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.serving import served
from tests.e2e.states import STATES, WIDGETS

Scheme = Literal["light", "dark"]
LOOKS: dict[str, tuple[int, Scheme, str]] = {
    "light": (720, "light", "en"),
    "dark": (720, "dark", "en"),
    "phone": (320, "light", "en"),
    "right-to-left": (720, "light", "ar"),
}
"""Name → width, colours and language."""
NOT_SHOWN = {"completed", "completed-warned"}
"""States in which there is no page between two steps."""


def pages() -> dict[str, str]:
    """Return the name of each picture and what it is taken of."""
    bars = {f"{widget}-{state}": f"{widget}/{state}" for widget in WIDGETS for state in [*STATES, "all"]}
    steps = {f"focus-{state}": f"focus/{state}" for state in STATES if state not in NOT_SHOWN}
    steps |= {f"focus-{phase}": f"focus/{phase}" for phase in ("finishing", "gone")}
    corner = {"global": "global", **{f"global-{end}": f"corner/{end}" for end in ("completed", "failed")}}
    return {**bars, **steps, **corner, "gone": "gone", "notes": "notes", "away": "away"}


def take(browser: Browser, site: str, folder: Path) -> None:
    """Take all pictures."""
    for look, (width, scheme, language) in LOOKS.items():
        context = browser.new_context(
            viewport={"width": width, "height": 480}, color_scheme=scheme, reduced_motion="reduce"
        )
        page = context.new_page()
        for name, path in pages().items():
            page.goto(f"{site}/{path}?language={language}")
            page.screenshot(path=folder / f"{name}-{look}.png", full_page=True)
        context.close()


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as place,
        served("tests.e2e.gallery:app", Path(place), GALLERY_FOLDER=place) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        take(browser, server.url, folder)
        browser.close()
    print(f"{len(pages()) * len(LOOKS)} pictures in {folder}")


if __name__ == "__main__":
    main()
