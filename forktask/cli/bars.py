"""Progress as text, and a bar that moves while a command waits."""

from __future__ import annotations

import sys

import click

from forktask import clock
from forktask.cli import terminal, times
from forktask.cli.terminal import Paper
from forktask.rows import StatusRow
from forktask.states import State
from forktask.status import TaskStatus

FULL, EMPTY = "█", "░"
ASCII = ("#", "-")
CLEAR = "\r\x1b[K"
"""Empties the line of a terminal, of what a key has left there too."""
REDRAW = 0.2
"""Seconds between two looks of a bar that moves."""


def progress(row: StatusRow) -> str:
    """Return the percentage, or the count where nobody knows of how many; empty before anything was reported."""
    if row.done is not None and row.total is None and not row.state.is_final:
        return f"{row.done} {row.unit or ''}".rstrip()
    return "" if row.percent is None else f"{row.percent:.0f} %"


def bar(percent: float | None, width: int, *, encoding: str | None = None) -> str:
    """Return a bar of so many cells."""
    full, empty = (FULL, EMPTY) if _can_show(encoding or sys.stdout.encoding) else ASCII
    filled = round(width * min(max(percent or 0.0, 0.0), 100.0) / 100)
    return full * filled + empty * (width - filled)


def _can_show(encoding: str | None) -> bool:
    try:
        (FULL + EMPTY).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def bar_line(status: TaskStatus, on: Paper) -> str:
    """Return one line about a status that runs, as wide as the terminal but for the ^C of who types it."""
    row, width = status.row, (on.width or 80) - 3
    if row.state is not State.RUNNING:
        return terminal.cut(terminal.plain(f"{row.state}: {_waits_for(status)}"), width)
    parts = [bar(row.percent, max(10, min(30, width // 3)), encoding=sys.stderr.encoding), f"{progress(row):>5}"]
    if row.done is not None and row.total is not None:
        parts.append(f"{row.done}/{row.total} {row.unit or ''}".rstrip())
    if (left := status.remaining) is not None:
        parts.append(f"{times.length(left[0])} to {times.length(left[1])} left" if left[0] != left[1] else "")
    parts.append(row.message or "")
    return terminal.cut(terminal.plain("  ".join(part for part in parts if part)), width)


def _waits_for(status: TaskStatus) -> str:
    if status.state is State.QUEUED and (place := status.place) is not None:
        soon = "" if place.starts_in is None else f", starts in about {times.length(place.starts_in)}"
        return f"number {place.number} in the queue {status.queue}{soon}"
    return status.message or status.title


def wait(status: TaskStatus, timeout: float | None) -> bool:
    """Wait until a status is final, with a bar where standard error is a terminal; return whether it is."""
    on = terminal.paper(sys.stderr)
    if on.width is None:
        return status.wait(timeout).is_final
    until = None if timeout is None else clock.monotonic() + timeout
    try:
        while not status.is_final and (until is None or clock.monotonic() < until):
            click.echo(CLEAR + bar_line(status, on), err=True, nl=False)
            status.wait(REDRAW if until is None else max(0.0, min(REDRAW, until - clock.monotonic())))
    finally:
        click.echo(CLEAR, err=True, nl=False)
    return status.is_final
