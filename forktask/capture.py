"""Captured output: how the runner writes it and how the supervisor reads it.

Standard output, standard error and logging share one pipe, so that their order is kept, also between
a task and the programs it starts. A logging record is one line that begins with the ASCII record
separator and holds JSON (as RFC 7464 does), or several if it is long; everything else is plain text.
"""

from __future__ import annotations

import io
import json
import logging
import os
import select
import sys
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from forktask import clock
from forktask.rows import LogRow

RECORD = "\x1e"
PIECE_LIMIT = 16 * 1024
"""Bytes after which a log row ends, with the line that is being read."""
RECORD_LIMIT = select.PIPE_BUF
"""Longest line of a record: what is written at once, so that no other process writes into the middle of it."""
READ_SIZE = 64 * 1024
Piece = tuple[int, datetime, str | None, str | None, str]
"""Of a row of the log: position, time, level, logger, text."""
READS_AT_ONCE = 16
"""So that a task that prints without end does not keep the supervisor from the others."""


class RecordHandler(logging.Handler):
    """Writes each logging record as one line into the pipe; in the runner."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record; what was printed before it goes first."""
        try:
            sys.stdout.flush()
            for line in _record_lines(record, self.format(record)):
                os.write(self.descriptor, line)
        except Exception:  # a log line must never end a task; logging says so on standard error
            self.handleError(record)


def _record_lines(record: logging.LogRecord, text: str) -> Iterator[bytes]:
    size = len(text)
    while True:
        piece, rest = text[:size], text[size:]
        fields = {"level": record.levelname[:10], "logger": record.name[:255], "text": piece, "more": bool(rest)}
        line = f"{RECORD}{json.dumps(fields)}\n".encode()
        if len(line) > RECORD_LIMIT:
            size = max(1, min(size // 2, RECORD_LIMIT))
            continue
        yield line
        if not rest:
            return
        text = rest


def redirect_output(level: str) -> None:
    """Make Python's streams and logging write to descriptors 1 and 2 line by line; in the runner."""
    open_streams()
    root, ours = logging.getLogger(), logging.getLogger("forktask")
    for logger in (root, ours):
        for handler in [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]:
            logger.removeHandler(handler)  # it holds the supervisor's stream, and would say everything twice
    ours.propagate = True
    root.addHandler(RecordHandler(2))
    if root.level in (logging.NOTSET, logging.WARNING):
        root.setLevel(level)
    ours.setLevel(level)


class KeptLogging:
    """What logging was like before the first task of a runner, for those that follow one that configures it anew."""

    def __init__(self) -> None:
        self._root, self._ours = logging.getLogger(), logging.getLogger("forktask")
        self._handlers = [handler for handler in self._root.handlers if isinstance(handler, RecordHandler)]
        self._silent = {logger for logger in _loggers() if logger.disabled}
        self._before = self._now()

    def _now(self) -> tuple[bool, int, int, int, bool]:
        are_there = all(handler in self._root.handlers for handler in self._handlers)
        return are_there, self._root.level, self._root.manager.disable, self._ours.level, self._ours.disabled

    def put_back(self) -> None:
        """Have be heard what was heard before; what others have added stays."""
        if self._now() == self._before:
            return
        for handler in self._handlers:
            self._root.addHandler(handler)
        for logger in _loggers():
            logger.disabled = logger in self._silent  # `dictConfig` and `fileConfig` turn off what they do not name
        _, level, least, own_level, _ = self._before
        logging.disable(least)
        self._root.setLevel(level)
        self._ours.setLevel(own_level)


def _loggers() -> list[logging.Logger]:
    found = [*logging.Logger.manager.loggerDict.values()]
    return [logger for logger in found if isinstance(logger, logging.Logger)]


def open_streams() -> None:
    """Give Python streams for the descriptors 0 to 2, which it never closes; output goes out line by line."""
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8", errors="replace")
    sys.stdout = _line_by_line(1)
    sys.stderr = _line_by_line(2)


def _line_by_line(descriptor: int) -> io.TextIOWrapper:
    raw = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


class OutputReader:
    """The supervisor's end of one runner's pipe: cuts into rows, keeps to the limit, counts the rest."""

    def __init__(self, descriptor: int, limit: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.limit = limit
        self.closed = False
        self._mark = self._tail = b""
        self._parts: deque[tuple[list[Piece], int]] = deque()
        """What was written before each mark, while nobody has taken it: its rows, and how much was dropped."""
        self._begin()

    def _begin(self) -> None:
        self.kept = 0
        self._dropped = 0
        self._rest = b""
        self._position = 0
        self._plain: list[str] = []
        self._plain_size = 0
        self._rows: list[Piece] = []

    def divide_at(self, mark: bytes) -> None:
        """From now on expect this text at the end of what each of many tasks has written."""
        self._mark = mark

    @property
    def has_part(self) -> bool:
        """True if all that a task has written was read, and is still to be taken."""
        return bool(self._parts)

    @property
    def dropped(self) -> int:
        """How many bytes beyond the limit were dropped, of the first task whose rows were not taken to the end."""
        return self._parts[0][1] if self._parts else self._dropped

    def fileno(self) -> int:
        """Return the descriptor, as selectors want it."""
        return self.descriptor

    def drain(self, reads: int = READS_AT_ONCE) -> None:
        """Read what is there, at most `reads` times 64 KiB."""
        for _ in range(reads):
            if self.closed:
                return
            try:
                piece = os.read(self.descriptor, READ_SIZE)
            except BlockingIOError:
                return
            self.closed = not piece
            self._take(piece)

    def _take(self, piece: bytes) -> None:
        if not self._mark:
            self._keep(piece)
            return
        *parts, rest = (self._tail + piece).split(self._mark)
        for part in parts:
            self._keep(part)
            self._end_part()
        self._tail = _begun(rest, self._mark)
        self._keep(rest[: len(rest) - len(self._tail)])

    def _end_part(self) -> None:
        self._last_line()
        self._end_plain()
        self._parts.append((self._rows, self._dropped))
        self._begin()

    def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        room = self.limit - self.kept
        if len(piece) > room:
            self._dropped += len(piece) - room
            piece = piece[:room]
        self.kept += len(piece)
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._line(line.decode("utf-8", "replace") + "\n")
        if len(self._rest) > PIECE_LIMIT:
            end = _end_of_characters(self._rest)
            self._line(self._rest[:end].decode("utf-8", "replace"))
            self._rest = self._rest[end:]

    def _line(self, line: str) -> None:
        text, mark, after = line.partition(RECORD)
        record = _record(after) if mark else None
        if record is None:
            text = line
        if text:
            self._plain.append(text)
            self._plain_size += len(text)
        if record is not None or self._plain_size > PIECE_LIMIT:
            self._end_plain()
        if record is not None:
            self._add(*record)

    def _end_plain(self) -> None:
        if self._plain:
            self._add(None, None, "".join(self._plain))
            self._plain.clear()
            self._plain_size = 0

    def _add(self, level: str | None, logger: str | None, text: str) -> None:
        self._rows.append((self._position, clock.now(), level, logger, text))
        self._position += 1

    def rows(self, status_id: UUID, attempt: int, *, last: bool = False) -> list[LogRow]:
        """Return the rows that are complete, once; with `last` also an unfinished line.

        Those of the first task that were not taken; `last` goes on to the next one.
        """
        if self._parts:
            rows = self._parts[0][0].copy()
            self._parts[0][0].clear()
            if last:
                self._parts.popleft()
        else:
            if last:
                self._keep(self._tail)
                self._tail = b""
                self._last_line()
            self._end_plain()
            rows, self._rows = self._rows, []
        return [LogRow(status_id, attempt, *row) for row in rows]

    def _last_line(self) -> None:
        """Take what has no end of line; a record that the limit has cut cannot be read."""
        if not self._rest:
            return
        text, mark, cut = self._rest.partition(RECORD.encode())
        if mark and self._dropped:
            self._dropped += len(mark + cut)
            self.kept -= len(mark + cut)
            self._rest = text
        if self._rest:
            self._line(self._rest.decode("utf-8", "replace"))
        self._rest = b""

    def close(self) -> None:
        """Close the pipe; what a grandchild still writes goes nowhere."""
        self.closed = True
        os.close(self.descriptor)


def _begun(data: bytes, mark: bytes) -> bytes:
    """Return the end of `data` that may be the beginning of a mark."""
    place = data.rfind(mark[:1], max(0, len(data) - len(mark)))
    return data[place:] if place >= 0 and mark.startswith(data[place:]) else b""


def _record(line: str) -> tuple[str, str, str] | None:
    try:
        record = json.loads(line)
        text = str(record["text"]) + ("" if record["more"] else "\n")
        return str(record["level"])[:10], str(record["logger"])[:255], text
    except (ValueError, TypeError, KeyError):
        return None


def _end_of_characters(data: bytes) -> int:
    """Return where to cut `data` so that no UTF-8 character is cut in two."""
    for end in range(len(data) - 1, max(0, len(data) - 4), -1):
        if data[end] & 0xC0 != 0x80:  # the first byte of the last character, which may go on in what comes next
            return end
    return len(data)
