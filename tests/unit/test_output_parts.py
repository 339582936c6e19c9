"""One pipe for the output of many tasks: where that of one ends and the next begins."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from forktask.capture import OutputReader
from forktask.rows import new_id

MARK = b"\x1e0123456789abcdef\n"


class Pipe:
    """A reader, and the end that tasks write to."""

    def __init__(self, limit: int = 10_000) -> None:
        read, self.write = os.pipe()
        self.reader = OutputReader(read, limit)
        self.reader.divide_at(MARK)

    def say(self, *pieces: bytes) -> None:
        """Write and have it read, piece by piece."""
        for piece in pieces:
            os.write(self.write, piece)
            self.reader.drain()

    def next(self) -> tuple[str, int]:
        """Return what one task has written, and how much of it was dropped."""
        dropped = self.reader.dropped
        return "".join(row.text for row in self.reader.rows(new_id(), 1, last=True)), dropped


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(limit=20)
    yield made
    os.close(made.write)
    made.reader.close()


@pytest.mark.parametrize("at", range(len(MARK) + 4))
def test_a_mark_may_come_in_two_reads(pipe: Pipe, at: int) -> None:
    whole = b"on\n" + MARK + b"e"
    pipe.say(whole[:at], whole[at:])
    assert [pipe.reader.has_part, pipe.next(), pipe.reader.has_part] == [True, ("on\n", 0), False]
    assert pipe.next() == ("e", 0)


def test_each_task_has_its_own_limit_and_an_unfinished_line_is_its_own(pipe: Pipe) -> None:
    pipe.say(b"x" * 50 + MARK + b"no end" + MARK + MARK + b"y\n" * 15 + MARK)
    assert [pipe.next() for _ in range(4)] == [("x" * 20, 30), ("no end", 0), ("", 0), ("y\n" * 10, 10)]


def test_what_is_not_quite_the_mark_is_output(pipe: Pipe) -> None:
    pipe.say(MARK[:9], b"\n", MARK[:1])
    assert pipe.next() == ("\x1e01234567\n\x1e", 0)


def test_rows_that_come_while_it_runs_are_taken_once(pipe: Pipe) -> None:
    pipe.say(b"one\n")
    assert [row.text for row in pipe.reader.rows(new_id(), 1)] == ["one\n"]
    pipe.say(b"two\n" + MARK + b"other\n")
    assert [(row.position, row.text) for row in pipe.reader.rows(new_id(), 1)] == [(1, "two\n")]
    assert pipe.next() == ("", 0)
    assert [(row.position, row.text) for row in pipe.reader.rows(new_id(), 1)] == [(0, "other\n")]
