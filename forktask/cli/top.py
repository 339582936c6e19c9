"""`forktask top`: what runs, live."""

from __future__ import annotations

import select
import shutil
import sys
import termios
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

import click

from forktask import clock
from forktask.cli import bars, terminal, times
from forktask.cli.filters import short_ids
from forktask.cli.manner import source
from forktask.cli.terminal import Column, Paper
from forktask.cli.times import Seconds
from forktask.errors import StoreError
from forktask.operations.looking import Looker
from forktask.operations.overview import figures, running
from forktask.proof import runner_of
from forktask.rows import StatusRow
from forktask.states import State
from forktask.usage import Usage, usages

COLUMNS = (
    Column(name="ID"),
    Column(name="STATE"),
    Column(name="TASK", elastic=True),
    Column(name="PID", right=True),
    Column(name="CPU", right=True),
    Column(name="MEMORY", right=True),
    Column(name="TIME", right=True),
    Column(name="PROGRESS"),
    Column(name="MESSAGE", elastic=True),
)
MOST = 200
BAR = 10
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""The other screen, without the cursor; and back."""


@click.command()
@click.option("--interval", type=Seconds(0.1), default=1.0, show_default=True, help="Seconds between looks.")
def top(interval: float) -> None:
    """Show what runs with its progress, and what it takes of this machine; q or Ctrl-C ends it.

    Where the output is no terminal: once.

    Example: forktask top --interval 2
    """
    view = View(Looker(source()))
    on = terminal.paper()
    if on.width is None or not sys.stdin.isatty():
        for line in view.lines(on):
            terminal.say(line, on=on)
        return
    with _screen():
        while True:
            _draw(view, terminal.paper())
            if _is_told_to_end(interval):
                return


class View:
    """What is shown; knows the processor's time of the look before."""

    def __init__(self, looker: Looker) -> None:
        self._looker = looker
        self._before: dict[int, tuple[float, float]] = {}

    def lines(self, on: Paper) -> Iterator[str]:
        """Yield the lines of one look."""
        rows = running(self._looker, MOST)
        told = figures(self._looker.source, clock.now() - timedelta(hours=1))
        words = [times.of_day(clock.now(), utc=False), f"supervisors {told.supervisors}"]
        words[1:1] = [f"{state} {told.states[state]}" for state in State]
        yield terminal.sentence(words, on)
        yield ""
        used = usages([identity for row in rows if (identity := runner_of(row)) is not None])
        table = [
            self._line(short, row, used.get(row.runner_pid or 0))
            for short, row in zip(short_ids(rows), rows, strict=True)
        ]
        yield from terminal.table(COLUMNS, table, on)

    def _line(self, short: str, row: StatusRow, used: Usage | None) -> Sequence[str]:
        lasted = (clock.now() - row.started_at).total_seconds() if row.started_at is not None else None
        share = self._share(row.runner_pid or 0, used, lasted) if used is not None else None
        return (
            short,
            row.state.value,
            row.task,
            str(row.runner_pid or ""),
            f"{share:.0f} %" if share is not None else "-",
            f"{used.memory / 1048576:.0f} MiB" if used is not None else "-",
            times.length(lasted),
            f"{bars.bar(row.percent, BAR)} {bars.progress(row)}",
            row.message or "",
        )

    def _share(self, pid: int, used: Usage, lasted: float | None) -> float:
        """Return the share of a core since the look before; at the first one since its start."""
        now = clock.monotonic()
        seconds, at = self._before.get(pid, (0.0, now - (lasted or 0.0)))
        self._before[pid] = (used.cpu_seconds, now)
        return 100 * max(0.0, used.cpu_seconds - seconds) / max(now - at, 0.01)


@contextmanager
def _screen() -> Iterator[None]:
    """Take the other screen, with keys that come at once; give all back, whatever happens."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    try:
        tty.setcbreak(keyboard)
        click.echo(ENTER, nl=False, color=True)
        yield
    except KeyboardInterrupt:
        pass
    finally:
        click.echo(LEAVE, nl=False, color=True)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _draw(view: View, on: Paper) -> None:
    height = shutil.get_terminal_size().lines
    try:
        lines = list(view.lines(on))[: height - 1]
    except StoreError as error:
        lines = [terminal.cut(f"the database cannot be had: {terminal.plain(str(error))}", on.width or 80)]
    click.echo("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", nl=False, color=True)


def _is_told_to_end(seconds: float) -> bool:
    """Wait for a key; return True for `q`, or where the keyboard is gone."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and sys.stdin.read(1) in ("q", "Q", "")
