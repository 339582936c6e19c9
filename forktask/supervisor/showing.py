"""What tasks print, in the log of their worker: one line an event."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from forktask.rows import LogRow, RunRow

log = logging.getLogger("forktask.output")


def show_output(row: RunRow, printed: Sequence[LogRow]) -> None:
    """Log what an attempt has printed or logged, whatever the level of the worker's own log."""
    log.setLevel(logging.DEBUG)
    for one in printed:
        level = logging.getLevelNamesMapping().get(one.level or "", logging.INFO)
        for line in one.text.splitlines():
            log.log(level, "task=%s id=%s attempt=%d: %s", row.task, row.id, row.attempt, line)
