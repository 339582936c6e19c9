"""Text for a terminal, or for a pipe: widths, colours, tables."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TextIO

import click

from forktask.states import State

COLOURS = {
    State.QUEUED: "yellow",
    State.RUNNING: "cyan",
    State.PAUSED: "blue",
    State.COMPLETED: "green",
    State.FAILED: "red",
    State.CANCELLED: "bright_black",
    State.LOST: "magenta",
}
ELLIPSIS = "…"
LEAST = 5
"""Cells that a column keeps that is cut."""
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What would move the cursor, or turn the direction of the text around."""
WIDE = frozenset("WF")
NO_CELL = frozenset(("Mn", "Me", "Cf"))


def cells(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells_of(character) for character in text)


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in WIDE else 1


def plain(text: str) -> str:
    """Return one line without what a terminal would obey."""
    return CONTROL.sub(" ", text)


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits, with an ellipsis where something is left out."""
    if cells(text) <= width:
        return text
    taken, used = [], 1
    for character in text:
        used += _cells_of(character)
        if used > width:
            break
        taken.append(character)
    return "".join(taken) + ELLIPSIS if width > 0 else ""


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return a text filled up with spaces."""
    space = " " * max(0, width - cells(text))
    return space + text if right else text + space


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """Where a command writes.

    Attributes:
        width: Cells in a line of the terminal; None: it is no terminal, and nothing is cut.
        colour: Whether text may be coloured.
    """

    width: int | None
    colour: bool

    def styled(self, text: str, **style: Any) -> str:
        """Return a text in a colour, if there are any."""
        return click.style(text, **style) if self.colour else text

    def state(self, state: State, text: str | None = None) -> str:
        """Return a state, or a text about it, in its colour."""
        return self.styled(text or state.value, fg=COLOURS[state])


def is_terminal(stream: TextIO) -> bool:
    """Return True if a person sees what is written there."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paper(stream: TextIO | None = None) -> Paper:
    """Return where standard output, or another stream, goes; `NO_COLOR` is obeyed."""
    stream = stream or sys.stdout
    if not is_terminal(stream):
        return Paper(width=None, colour=False)
    return Paper(width=max(20, shutil.get_terminal_size().columns), colour=not os.environ.get("NO_COLOR"))


def say(text: str, *, on: Paper | None = None, err: bool = False) -> None:
    """Write a line."""
    click.echo(text, err=err, color=on.colour if on is not None else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: `right` for numbers, `elastic` if it may be cut where the line is too long."""

    name: str
    right: bool = False
    elastic: bool = False


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], on: Paper) -> Iterator[str]:
    """Yield the lines of a table; a cell in the colour of its state where it names one."""
    lines = [[plain(cell) for cell in row] for row in rows]
    head = [column.name for column in columns]
    widths = [max(map(cells, cut_)) for cut_ in zip(head, *lines, strict=True)]
    if on.width is not None:
        widths = fitted(widths, [column.elastic for column in columns], on.width)
    yield on.styled(_line(columns, head, widths, on, styles=False), bold=True)
    for line in lines:
        yield _line(columns, line, widths, on, styles=True)


def sentence(words: Sequence[str], on: Paper) -> str:
    """Return as many words as fit into a line; one that begins with a state has its colour."""
    shown, used = [], 0
    for word in words:
        used += cells(word) + 2
        if on.width is not None and used - 2 > on.width:
            break
        first, space, rest = word.partition(" ")
        shown.append(on.state(State(first)) + space + rest if first in COLOURS else word)
    return "  ".join(shown)


def show(lines: Sequence[Sequence[str]]) -> None:
    """Write a table whose first line is its head; the widest column gives way on a narrow terminal."""
    on = paper()
    columns = [Column(name=name, elastic=True) for name in lines[0]]
    for line in table(columns, lines[1:], on):
        say(line, on=on)


def fitted(widths: Sequence[int], elastic: Sequence[bool], most: int) -> list[int]:
    """Return widths that fit into a line: the widest elastic column gives way first."""
    found = list(widths)
    while sum(found) + 2 * (len(found) - 1) > most:
        candidates = [number for number, gives in enumerate(elastic) if gives and found[number] > LEAST]
        if not candidates:
            break
        found[max(candidates, key=found.__getitem__)] -= 1
    return found


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int], on: Paper, *, styles: bool) -> str:
    """Return a line; what is beyond the terminal's edge is left out, the last column without spaces after it."""
    room = on.width if on.width is not None else sum(widths) + 2 * len(widths)
    parts, used = [], 0
    for column, text, width in zip(columns, row, widths, strict=True):
        seen = min(width, room - used)
        shown = cut(text, seen)
        fill = partial(padded, width=seen, right=column.right)
        style = styles and text in COLOURS
        parts.append(fill(shown) if not style else fill(shown).replace(shown, on.state(State(text), shown)))
        used += width + 2
        if used >= room:
            break
    return "  ".join(parts).rstrip()
