"""Finding statuses, each made true; whoever only looks starts nothing."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Final
from uuid import UUID

from forktask.errors import AmbiguousIdError, StatusNotFoundError
from forktask.proof import Witness
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.selection import Selection, range_of_prefix
from forktask.start.telling import Teller
from forktask.states import State

AT_ONCE: Final = 500
"""Rows in one look."""
REFERENCE: Final = re.compile(r"[0-9A-Za-z]{4}-[0-9A-Za-z]{4}")
TOLD: Final = 3
"""Ids that are suggested."""
LOOKED_AT: Final = 500
"""Newest ids among which near ones are looked for."""
LIKENESS: Final = 0.8


class Looker:
    """Reads rows; one that is under way and has nobody left is marked lost first, nothing is started."""

    def __init__(self, source: Runtime) -> None:
        self.source = source
        self.store = source.store
        self._witness = Witness(source.store, source.settings, Teller(self._aside))

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Be where receivers are called, with what they print on standard error: the other is what was asked for."""
        with redirect_stdout(sys.stderr), self.source.context():
            yield

    def one(self, status_id: UUID) -> StatusRow:
        """Return a row.

        Raises:
            StatusNotFoundError: There is none with this id.
        """
        row = self.store.get(status_id)
        if row is None:
            raise StatusNotFoundError(status_id)
        return self.made_true(row)

    def many(self, selection: Selection, limit: int = 0) -> Iterator[StatusRow]:
        """Yield rows that fit, the newest first; `limit` 0: all."""
        before, left = None, limit
        while True:
            size = min(AT_ONCE, left) if limit else AT_ONCE
            rows = self.store.listed(selection, limit=size, before=before)
            yield from self.all_true(rows, selection.states)
            left -= len(rows)
            if len(rows) < size or (limit and left <= 0):
                return
            before = rows[-1].id

    def all_true(self, rows: Iterable[StatusRow], states: frozenset[State]) -> list[StatusRow]:
        """Return those that still are in one of the states."""
        found = [self.made_true(row) for row in rows]
        return [row for row in found if not states or row.state in states]

    def made_true(self, row: StatusRow) -> StatusRow:
        """Return the row as it is once it was looked whether anybody watches over it."""
        if row.state.is_final:
            return row
        changed = self._witness.check(row) or (row.state is State.QUEUED and self._witness.check_waiting(row))
        return (self.store.get(row.id) or row) if changed else row

    def find(self, text: str) -> UUID:
        """Return the id that begins with these digits, or that of the reference which a person quotes.

        Raises:
            StatusNotFoundError: There is none; near ones are suggested.
            AmbiguousIdError: There are several.
        """
        ends = range_of_prefix(text)
        found = self.store.ids_between(*ends, TOLD + 1) if ends is not None else []
        if not found and REFERENCE.fullmatch(text):
            found = self.store.ids_of_reference(text.upper())
        if len(found) > 1:
            raise AmbiguousIdError(text, found[:TOLD])
        if not found:
            raise StatusNotFoundError(text, self._near(text))
        return found[0]

    def _near(self, text: str) -> list[UUID]:
        """Return ids that begin almost like this: a digit is wrong, missing or too many."""
        digits = text.lower().replace("-", "")
        if len(digits) < TOLD:
            return []
        known = {one.hex[: len(digits)]: one for one in self._candidates(digits)}
        return [known[near] for near in difflib.get_close_matches(digits, known, n=TOLD, cutoff=LIKENESS)]

    def _candidates(self, digits: str) -> list[UUID]:
        found = self.store.newest_ids(LOOKED_AT)
        for length in range(min(len(digits), 32) - 1, TOLD, -1):
            ends = range_of_prefix(digits[:length])
            if ends is not None and (more := self.store.ids_between(*ends, LOOKED_AT)):
                return [*found, *more]
        return found
