"""Commands in a terminal of a certain width, as a person sees them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from forktask.cli import terminal
from forktask.cli.bars import bar, bar_line
from forktask.cli.terminal import Column, Paper, cells, cut, sentence, table
from forktask.states import State
from forktask.status import TaskStatus
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_running
from tests.runtimes import PATIENCE, _current_is
from tests.store.examples import a_sample, inserted
from tests.waiting import wait_until

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """A terminal with a program in it; `text` is all that it has written."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.raw = ""

    def read(self) -> str:
        """Take in what it has written meanwhile."""
        while select.select([self._descriptor], [], [], 0)[0]:
            try:
                data = os.read(self._descriptor, 65536)
            except OSError:  # the program has left
                break
            if not data:
                break
            self.raw += data.decode(errors="replace")
        return self.raw

    @property
    def lines(self) -> list[str]:
        """The lines without what only the terminal obeys."""
        return SEQUENCE.sub("", self.read()).replace("\r\n", "\n").splitlines()

    def shows(self, text: str) -> None:
        """Return once it shows a text."""
        wait_until(lambda: text in self.read(), PATIENCE, f"{text!r}")

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def ends(self, code: int = 0) -> None:
        """Return once the program has left with this code."""

        def has_left() -> bool:
            self.read()
            return self.process.poll() is not None

        wait_until(has_left, PATIENCE, "its end")
        assert self.process.returncode == code, self.read()


@contextmanager
def screen(
    here: CommandLine, *words: str, width: int = 100, environ: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """Yield a terminal in which a command runs."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    unset = ("NO_COLOR", "COLUMNS", "LINES")
    inherited = {name: value for name, value in os.environ.items() if name not in unset}
    known = {
        "TERM": "xterm",
        "PYTHONIOENCODING": "utf-8",
        "FORKTASK_START_METHOD": "inline",
        "FORKTASK_APP": "tests.zoo:",
    }
    known["FORKTASK_DATABASE_URL"] = here.runtime.settings.database_url
    command = [str(Path(sys.executable).with_name("forktask")), *words]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=inherited | known | dict(environ or {})
    )
    os.close(theirs)
    try:
        yield Screen(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_table_fits_a_narrow_terminal_with_wide_characters_in_it(here: CommandLine) -> None:
    store = here.runtime.store
    inserted(store, message="日本語のメッセージがここにあります" * 3, task="shop.ImportTask")
    inserted(store, message="e\u0301" * 60, state=State.FAILED)
    with screen(here, "list", width=70) as seen:
        seen.ends()
        assert len(seen.lines) == 3
        assert all(cells(line) <= 70 for line in seen.lines)
        assert "…" in seen.lines[2]
        assert "\x1b[31m" in seen.raw  # failed is red


def test_no_color_is_obeyed(here: CommandLine) -> None:
    inserted(here.runtime.store, state=State.FAILED)
    with screen(here, "list", environ={"NO_COLOR": "1"}) as seen:
        seen.ends()
        assert "failed" in seen.raw
        assert "\x1b[" not in seen.raw


def test_a_question_is_asked_and_answered(here: CommandLine) -> None:
    row = inserted(here.runtime.store)
    with screen(here, "cancel", "--state", "queued") as seen:
        seen.shows("Cancel 1 status (1 queued)?")
        seen.type("y\n")
        seen.ends()
    found = here.runtime.store.get(row.id)
    assert found is not None
    assert found.state is State.CANCELLED


def test_top_shows_a_bar_until_q_is_pressed_and_gives_the_screen_back(here: CommandLine) -> None:
    row = a_running(here.runtime.store)
    here.runtime.store.save([a_sample(row, percent=50.0, message="Halfway")], [])
    with screen(here, "top", "--interval", "0.1", width=120) as seen:
        seen.shows("Halfway")
        seen.shows("█████░░░░░ 50 %")
        seen.type("q")
        seen.ends()
        assert seen.raw.startswith("\x1b[?1049h")
        assert seen.raw.rstrip().endswith("\x1b[?1049l")


def test_ctrl_c_ends_following_without_a_word(here: CommandLine) -> None:
    row = a_running(here.runtime.store)
    with screen(here, "follow", str(row.id)) as seen:
        seen.shows("running")
        seen.process.send_signal(2)
        seen.ends()
        assert "Traceback" not in seen.raw
        assert "Aborted" not in seen.raw


def test_whoever_waits_sees_a_bar(here: CommandLine, tmp_path: Path) -> None:
    environ = {"FORKTASK_START_METHOD": "forkserver", "FORKTASK_RUNTIME_DIR": here.runtime.settings.runtime_dir}
    environ |= {"FORKTASK_IDLE_EXIT": "1", "FORKTASK_VERSION": "test"}
    words = ["start", "report", 'reports=[{"percent": 50, "message": "Halfway"}]', f"path={tmp_path}/go", "--wait"]
    with screen(here, *words, environ=environ) as seen:
        seen.shows("█")
        seen.shows(" 50 %  Halfway")
        assert "\r\x1b[K" in seen.raw  # the whole line, with the ^C that may stand there
        (tmp_path / "go.0").touch()
        seen.ends()
        assert seen.lines[-1].endswith("completed: Halfway")


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("a", 0, ""),
    ],
)
def test_text_is_cut_by_the_cells_it_takes(text: str, width: int, shown: str) -> None:
    assert cut(text, width) == shown
    assert cells(shown) <= max(width, 0)


def test_the_widest_column_gives_way_and_what_is_beyond_the_edge_is_left_out() -> None:
    columns = [Column(name="A"), Column(name="B", elastic=True), Column(name="C")]
    rows = [("1" * 10, "2" * 50, "3" * 10)]
    lines = list(table(columns, rows, Paper(width=40, colour=False)))
    assert lines[1] == "1111111111  222222222222222…  3333333333"
    assert all(cells(line) <= 15 for line in table(columns, rows, Paper(width=15, colour=False)))
    columns[2] = Column(name="C", right=True)
    assert all(cells(line) <= 25 for line in table(columns, rows, Paper(width=25, colour=False)))


def test_counts_that_do_not_fit_into_a_line_are_left_out() -> None:
    words = ["12:00:00", "queued 10", "supervisors 2"]
    assert sentence(words, Paper(width=20, colour=False)) == "12:00:00  queued 10"
    assert sentence(words, Paper(width=None, colour=False)) == "12:00:00  queued 10  supervisors 2"
    assert sentence(words[1:2], Paper(width=20, colour=True)) == "\x1b[33mqueued\x1b[0m 10"


def test_nothing_that_a_terminal_would_obey_comes_from_a_row() -> None:
    columns = [Column(name="A")]
    lines = list(table(columns, [("\x1b[2Jevil\r\n\u202e",)], Paper(width=None, colour=False)))
    assert lines[1] == " [2Jevil"


def test_there_is_room_for_ctrl_c_beside_a_bar(here: CommandLine) -> None:
    with contextmanager(_current_is)(here.runtime):
        status = TaskStatus.get(inserted(here.runtime.store, state=State.PAUSED, message="日本語" * 40).id)
        assert cells(bar_line(status, Paper(width=40, colour=False))) + len("^C") < 40


def test_bars_are_made_of_what_the_terminal_can_show() -> None:
    assert bar(50, 4, encoding="utf-8") == "██░░"
    assert bar(None, 4, encoding="ascii") == "----"
    assert bar(250, 4, encoding="latin-1") == "####"
    assert terminal.padded("日", 4, right=True) == "  日"
