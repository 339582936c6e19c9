"""What has to be written to the table: kept until it is there, however long the database is away."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from forktask import clock
from forktask.errors import StoreError
from forktask.rows import End, LogRow, RunRow, Sample
from forktask.sentences import new_reference
from forktask.states import Cause, State
from forktask.store import Store
from forktask.supervisor.charge import Charge

log = logging.getLogger("forktask.supervisor")

PAUSE_AFTER_ERROR = 1.0
"""Seconds without a further attempt after the database did not answer: each one may wait two."""


REFUSED = "the database refused what the task gave; the log of its supervisor says why"


class Ledger:
    """Writes samples, ends and captured output, many rows a transaction."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ends: list[End] = []
        self.ends_since = 0.0
        """When the first of them came."""
        self.output: list[LogRow] = []
        self.show: Callable[[RunRow, Sequence[LogRow]], None] | None = None
        """Called with what a runner has printed."""
        self._closed_until = 0.0

    @property
    def is_open(self) -> bool:
        """False for a moment after the database did not answer."""
        return clock.monotonic() >= self._closed_until

    @property
    def is_empty(self) -> bool:
        """True if nothing is left to be written."""
        return not self.ends and not self.output

    def add(self, end: End) -> None:
        """Note an end, to be written."""
        if not self.ends:
            self.ends_since = clock.monotonic()
        self.ends.append(end)

    def note_failure(self, error: StoreError) -> None:
        """Leave the database alone for a moment."""
        log.warning("database: %s", error)
        self._closed_until = clock.monotonic() + PAUSE_AFTER_ERROR

    def take_output(self, charge: Charge, *, last: bool = False) -> None:
        """Keep what a runner has printed."""
        if charge.row is None:
            return
        rows = charge.output.rows(charge.row.id, charge.row.attempt, last=last)
        self.output += rows
        if self.show is not None:
            self.show(charge.row, rows)

    def write(self, charges: Collection[Charge]) -> tuple[list[End], set[UUID]]:
        """Write what has changed.

        Returns:
            The ends that are dealt with, and the ids of those of which nothing was written: they are no longer ours.
        """
        for charge in charges:
            self.take_output(charge)
        samples = [(charge, found) for charge in charges if (found := charge.sample())]
        if (not samples and self.is_empty) or not self.is_open:
            return [], set()
        ends, output = self.ends, self.output
        try:
            refused = self.store.save([sample for _, (_, sample) in samples], ends, output)
        except StoreError as error:
            if error.transient:
                self.note_failure(error)
                return [], set()
            return self._write_singly(error, samples), set()
        for charge, (version, _) in samples:
            charge.written(version)
        self.ends, self.output = [], []
        return ends, refused

    def _write_singly(self, error: StoreError, samples: list[tuple[Charge, tuple[int, Sample]]]) -> list[End]:
        """One row that the database will never take must not keep back the others.

        If the database goes away meanwhile, what is left is kept.
        """
        log.error("the database refuses a write: %s", error)
        written: list[End] = []
        try:
            while self.output:
                self._accepts(output=self.output[:1])
                del self.output[0]
            for charge, (version, sample) in samples:
                self._accepts(samples=[sample])
                charge.written(version)
            while self.ends:
                self._write_end(self.ends[0])
                written.append(self.ends.pop(0))
        except StoreError as gone:
            self.note_failure(gone)
        return written

    def _write_end(self, end: End) -> None:
        if not self._accepts(ends=[end]) and not self._accepts(ends=[without_content(end)]):
            log.error("the end of id=%s attempt=%d cannot be written", end.status_id, end.attempt)

    def _accepts(
        self, *, samples: Sequence[Sample] = (), ends: Sequence[End] = (), output: Sequence[LogRow] = ()
    ) -> bool:
        """Write it; return False if it is refused.

        Raises:
            StoreError: The database is away: it may take it later.
        """
        try:
            self.store.save(samples, ends, output)
        except StoreError as error:
            if error.transient:
                raise
            log.error("refused: %s", error)
            return False
        return True


def without_content(end: End) -> End:
    """Return the end without what the task itself supplied."""
    return end._replace(
        state=State.FAILED if end.state is State.COMPLETED else end.state,
        cause=end.cause or Cause.EXCEPTION,
        result=None,
        error="The result could not be stored." if end.state is State.COMPLETED else "This failed.",
        reference=new_reference() if end.state is State.COMPLETED else end.reference,
        traceback=REFUSED,
        error_class=None,
        exit_code=None,
        signal=None,
        last=None,
    )
