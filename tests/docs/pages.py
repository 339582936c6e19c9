"""The documents as data: their tables, code blocks and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{path.name}" for path in ROOT.glob("docs/*.md")),
)

_FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page: str) -> str:
    """Return a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of any level."""
    _, found, rest = read(page).partition(f"# {heading}\n")
    assert found, f"{page} has no heading {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head and without the marks of code."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    assert len(lines) > 2, f"{page} has no table under {heading!r}"
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def blocks(page: str, language: str) -> list[str]:
    """Return all code blocks of a language."""
    return [match["code"] for match in _FENCE.finditer(read(page)) if match["language"] == language]


def file(page: str, name: str) -> str:
    """Return the code block that stands below a line with the name of its file."""
    _, found, rest = read(page).partition(f"\n`{name}`\n\n")
    assert found, f"{page} has no file {name}"
    match = _FENCE.match(rest)
    assert match, f"no code follows the name {name} in {page}"
    return match["code"]


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield the relative links and pictures of a page: the path from the root, and the anchor."""
    text = _FENCE.sub("", read(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield str((ROOT / page).parent.joinpath(path).resolve().relative_to(ROOT)) if path else page, anchor


def anchors(page: str) -> set[str]:
    """Return what a link to the headings of a page may name, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
