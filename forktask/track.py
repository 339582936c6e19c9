"""The bar of a status: what was reported last, the range it fills, and loops that move it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import compress, islice, repeat
from math import isfinite, log10
from operator import length_hint
from time import monotonic
from typing import Any, Generic, TypeVar

from forktask.errors import TaskStopped
from forktask.progress import BEHIND, CANCEL, Page, Report

T = TypeVar("T")

Fields = tuple[float | None, str | None, int | None, int | None, str | None]
"""Those of `Report`. A plain tuple, because making a named one costs as much as the rest of a report."""

Publish = Callable[[float | None, str | None, int | None, int | None, str | None], None]

CHUNK_SECONDS = 0.0005
CHUNK_LIMIT = 32
"""Most items of a chunk: by so many the bar is behind when the pace drops at once, until the supervisor asks."""
LOOK_SECONDS = 0.005
WRITE_SECONDS = 0.05
MANY = 2**62


class Bar:
    """What a task has reported last. `low` and `scale` map 0 to 100 to the part of the bar that is being filled."""

    def __init__(self, page: Page, on_progress: Callable[[Report], None] | None) -> None:
        self.lock = threading.RLock()  # tasks use threads, and a signal handler of theirs may report too
        self.report: Fields = (None, None, None, None, None)
        self.owner: Track[Any] | None = None
        self.memory = page.memory
        self._page = page
        self.publish = page.write if on_progress is None else _told(page, on_progress)
        self._ahead: dict[Track[Any], None] = {}
        self.low = 0.0
        self.scale = 1.0
        _bars.add(self)

    def stop_if_asked(self) -> None:
        """Raise TaskStopped once the task was asked to stop."""
        if self.memory[CANCEL] and self._page.cancel_requested:
            raise TaskStopped("cancelled")

    def set_ahead(self, loop: Track[Any], is_ahead: bool) -> None:
        """Note whether a loop may have done more than it has reported."""
        with self.lock:
            self._ahead.pop(loop, None)
            if is_ahead:
                self._ahead[loop] = None
            self.memory[BEHIND] = 1 if self._ahead else 0

    def catch_up(self) -> None:
        """Report what loops have done since; when the supervisor asks."""
        with self.lock:
            for loop in list(self._ahead):
                loop.catch_up()

    def show(self, report: Fields) -> None:
        """Publish `report`, whose percent is mapped already; the caller holds `lock`."""
        self.report = percent, message, done, total, unit = report
        self.publish(percent, message, done, total, unit)

    def count(self, done: int, total: int | None, unit: str | None, message: str | None = None) -> None:
        """Show counts; no message leaves the one before."""
        with self.lock:
            percent, said, *_ = self.report
            self.show((self.derived(done, total, percent), message or said, done, total, unit))

    def move(self, percent: float) -> None:
        """Show a share unless the bar is there already; message and counts stay."""
        with self.lock:
            share = self.mapped(percent)
            if share is not None and share > (self.report[0] or 0):
                self.show((share, *self.report[1:]))

    def mapped(self, percent: float) -> float | None:
        """Return where `percent` of the present range stands on the whole bar; None if it is no number."""
        if not isfinite(percent):
            return None
        return self.low + self.scale * (0.0 if percent < 0 else 100.0 if percent > 100 else percent)

    def derived(self, done: int | None, total: int | None, otherwise: float | None) -> float | None:
        """Return where the counts put the bar, or `otherwise` if they say nothing."""
        percent = derived_percent(done, total)
        return otherwise if percent is None else self.mapped(percent)

    @contextmanager
    def part(self, weight: float) -> Iterator[None]:
        """Map to `weight` percent points of the present range, from where the bar stands."""
        with self.lock:
            low, scale, high = self.low, self.scale, self.low + 100 * self.scale
            start = min(high, max(low, self.report[0] or low))
            self.low, self.scale = start, min(scale * weight, high - start) / 100
        try:
            yield
        finally:
            self.low, self.scale = low, scale


class Track(Generic[T]):
    """A loop that moves the bar.

    It hands its items out in chunks of about half a millisecond, so that no Python code runs for each.
    """

    def __init__(self, bar: Bar, items: Iterable[T], total: int | None, unit: str | None) -> None:
        self._bar = bar
        self._ticks = repeat(True, MANY)
        # `compress` takes a tick for each item it got: what is left of the ticks counts the items exactly.
        self._items = compress(items, self._ticks)
        self._total = _length(items) if total is None else total
        self._unit = unit
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._reported = -1
        self._size = 1
        self._is_ahead = False

    @property
    def done(self) -> int:
        """How many items were handed out."""
        return MANY - length_hint(self._ticks)

    def chunks(self) -> Iterator[Iterator[T]]:
        """Yield iterators over the next items; who asks for the next one is through with the one before."""
        self._bar.stop_if_asked()
        self._thread = threading.get_ident()
        try:
            self._report(self.done)
            yield from self._paced()
            if self._total is None:
                self._total = self.done  # the items have ended: now it is known
        finally:
            # A copy in a process that the task forked knows an old count only.
            if os.getpid() == self._process:
                self._bar.set_ahead(self, False)
                self._report(self.done)
                if self._bar.owner is self:
                    self._bar.owner = None

    def _paced(self) -> Iterator[Iterator[T]]:
        items, ticks, left = self._items, self._ticks, MANY
        size, began, look_at, write_at = 1, monotonic(), 0.0, 0.0
        while True:
            self._size = size
            if self._is_ahead is (size == 1 and MANY - left == self._reported):
                self._set_ahead(not self._is_ahead)
            yield islice(items, size)
            now, before, left = monotonic(), left, length_hint(ticks)
            if before - left < size:
                return
            if now >= look_at:
                look_at = now + LOOK_SECONDS
                self._bar.stop_if_asked()
                if now >= write_at:
                    write_at = now + WRITE_SECONDS
                    self._report(MANY - left)
            spent, began = now - began, now
            if spent > CHUNK_SECONDS:
                size = max(1, int(size * CHUNK_SECONDS / spent))
            elif spent < CHUNK_SECONDS / 2:
                size = min(CHUNK_LIMIT, size * 2)

    def advance(self, done: int, total: int | None) -> None:
        """Move the bar within the present item, for a loop inside it; the counts stay those of this one."""
        if total and self._total and self._thread == threading.get_ident():
            self._bar.move(100 * (self.done - 1 + min(1.0, done / total)) / self._total)

    def _set_ahead(self, is_ahead: bool) -> None:
        self._is_ahead = is_ahead
        if os.getpid() == self._process:
            self._bar.set_ahead(self, is_ahead)

    def catch_up(self) -> None:
        """Report what was handed out since the last report, but for the item that is under way."""
        if self._bar.owner in (None, self) or self._thread == threading.get_ident():
            completed = self.done - 1
            if completed > self._reported:
                self._report(completed)
        if self._size == 1:
            self._set_ahead(False)  # before the next item it comes by here itself

    def _report(self, done: int) -> None:
        bar = self._bar
        with bar.lock:
            if done < self._reported:  # another thread was first
                return
            self._reported = done
            if bar.owner is None or bar.owner is self:
                bar.owner = self
                bar.count(done, self._total, self._unit)
            else:
                bar.owner.advance(done, self._total)


def derived_percent(done: int | None, total: int | None) -> float | None:
    """Return the percent that counts give, None if they give none.

    With an unknown total it is 20·log10(1 + done), at most 95, a rule of older job frameworks:
    it shows that something moves and is no share. Widgets show the count beside it.
    """
    if done is None:
        return None
    if total is None:
        return min(95.0, 20 * log10(1 + max(0, done)))
    if total <= 0:
        return None
    return 0.0 if done <= 0 else 100.0 if done >= total else 100 * done / total


def _length(items: Iterable[object]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]
    except (TypeError, AttributeError, OverflowError):  # no length, or more than a machine word
        return None


def _told(page: Page, on_progress: Callable[[Report], None]) -> Publish:
    def publish(
        percent: float | None, message: str | None, done: int | None, total: int | None, unit: str | None
    ) -> None:
        page.write(percent, message, done, total, unit)
        on_progress(Report(percent, message, done, total, unit))

    return publish


_bars: weakref.WeakSet[Bar] = weakref.WeakSet()


def _renew_locks() -> None:
    # A lock that another thread of the parent held at the fork would stay locked for ever in the child.
    for bar in _bars:
        bar.lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)
