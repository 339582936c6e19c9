"""What a runner has said of one attempt: kept until it is written."""

from __future__ import annotations

import logging
from typing import Any, Protocol
from uuid import UUID

from forktask.live import WARNING_LIMIT
from forktask.phases import Phase
from forktask.rows import LogRow

log = logging.getLogger("forktask.supervisor")


class Output(Protocol):
    """What an attempt has printed."""

    @property
    def dropped(self) -> int:
        """How many bytes beyond the limit were dropped."""

    def rows(self, status_id: UUID, attempt: int, *, last: bool = False) -> list[LogRow]:
        """Return the rows that are complete, once; with `last` also an unfinished line."""


class Heard:
    """The words of a runner about one attempt."""

    pid: int

    def __init__(self) -> None:
        self.last_word: dict[str, Any] | None = None
        self.warnings: list[str] = []
        self.phases: list[Phase] | None = None
        self.checkpoint: Any = None
        self.unwritten: set[str] = set()
        """Names of what has changed since the last write."""

    def note(self, message: Any) -> None:
        """Take in one message of the runner."""
        word = message.get("word") if isinstance(message, dict) else None
        if word is None:
            log.warning("pid=%d said what no runner says", self.pid)
        elif word == "warning":
            self.warnings[WARNING_LIMIT - 1 :] = [message["value"]]
            self.unwritten.add("warnings")
        elif word == "phases":
            self.phases = message["value"]
            self.unwritten.add("phases")
        elif word == "checkpoint":
            self.checkpoint = message["value"]
            self.unwritten.add("checkpoint")
        else:
            self.last_word = message

    @property
    def goes_on(self) -> bool:
        """True after the last word of an attempt whose runner goes on to the next one."""
        return self.last_word is not None and bool(self.last_word.get("goes_on"))
