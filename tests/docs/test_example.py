"""The example of the README does what the README says, under two servers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import file
from tests.docs.serving import Browser, Folder, Server
from tests.waiting import wait_until

SERVERS = {
    "flask": ("flask", "run", "--port", "0"),
    "gunicorn": ("gunicorn", "--threads", "8", "--workers", "2", "--bind", "127.0.0.1:0", "app:app"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_the_example_of_the_readme_shows_a_bar_that_moves_and_ends(server: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for name in ("app.py", "templates/index.html"):
        folder.write(name, file("README.md", name))
    with Server(folder, *SERVERS[server]) as served:
        browser = Browser(served.url)
        assert "data-forktask" not in browser.get("/")
        path = address(browser.post("/"))
        seen: list[dict[str, Any]] = []

        def is_completed() -> bool:
            seen.append(json.loads(browser.get(path, Accept="application/json")))
            return bool(seen[-1]["state"] == "completed")

        wait_until(is_completed, 60, "the end of the report")
        shares = [status["percent"] for status in seen if status["percent"] is not None]
        assert any(0 < share < 100 for share in shares)
        assert shares == sorted(shares)
        assert (seen[-1]["percent"], seen[-1]["done"], seen[-1]["message"]) == (100, 12, "Adding up the year")
        assert "data-forktask-next" not in browser.get(path, **{"HX-Request": "true"})
        assert "Adding up the year" in browser.get("/")


def test_the_example_of_the_readme_is_short() -> None:
    lines = [line for line in file("README.md", "app.py").splitlines() if line.strip()]
    assert len(lines) <= 20


def address(page: str) -> str:
    """Return the address of the bar of a page."""
    found = re.search(r'class="forktask-refresh" href="([^"]+)"', page)
    assert found, page
    return found[1]
