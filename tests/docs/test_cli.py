"""`docs/cli.md` is what the commands say."""

from __future__ import annotations

from forktask.cli.manner import ExitCode
from tests.docs.pages import read
from tools.cli_docs import CODES, page


def test_the_page_of_the_command_line_is_up_to_date() -> None:
    assert read("docs/cli.md") == page(), "run `make docs`"


def test_every_exit_code_is_told() -> None:
    assert list(CODES) == list(ExitCode)
