"""What a task holds while it runs: its settings, and the means to report."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, compress, islice, repeat
from math import inf, isfinite, log10
from operator import index, length_hint
from time import monotonic
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from forktask.errors import TaskStopped
from forktask.jsonvalues import plain
from forktask.progress import Page, Report

T = TypeVar("T")
_Fields = tuple[float | None, str | None, int | None, int | None, str | None]
"""Those of `Report`; a plain tuple, because making a named one costs as much as the rest of a report."""

WARNING_LIMIT: Final = 100
"""Most warnings an attempt keeps; who keeps them does `warnings[WARNING_LIMIT - 1:] = [text]`."""
WARNING_LENGTH: Final = 500
"""Most characters of a warning."""

_CHUNK_SECONDS = 0.0005
_CHUNK_LIMIT = 32
"""Longest chunk of `track`: so many items it may be behind when the pace drops all at once."""
_LOOK_SECONDS = 0.005
_WRITE_SECONDS = 0.05
_MANY = 2**62


class LiveStatus:
    """The status of a running task, as its `execute` sees it.

    Every method that reports raises `TaskStopped` once the task was asked to stop. Threads and forked
    processes of the task may report too. Ranges opened by `phase` are those of the whole task, so phases
    belong into one thread.

    Attributes:
        settings: What `initiate` was given; an instance of the task's `Settings` model if it declares one.
        attempt: 1 for the first run.
        resumed_from: What `checkpoint` of an earlier attempt left, or None.
        log: Logger whose lines stand in the log of the attempt.
    """

    def __init__(  # noqa: PLR0913 - all keywords, one caller; each is a fact only the runner knows
        self,
        *,
        page: Page,
        send: Callable[[str, Any], None],
        status_id: UUID,
        settings: Any,
        attempt: int = 1,
        resumed_from: Any = None,
        task: str = "",
        on_progress: Callable[[Report], None] | None = None,
    ) -> None:
        self.id = status_id
        self.settings = settings
        self.attempt = attempt
        self.resumed_from = resumed_from
        self.log = logging.getLogger(f"forktask.task.{task}" if task else "forktask.task")
        self._page = page
        self._send = send
        self._on_progress = on_progress
        self._lock = threading.RLock()
        self._report: _Fields = (None, None, None, None, None)
        self._low = 0.0
        self._scale = 1.0
        self._track: _Track[Any] | None = None
        self._warnings = 0
        _alive.add(self)

    def update(
        self,
        percent: float | None = None,
        message: str | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
        unit: str | None = None,
    ) -> None:
        """Report how far the task is; what is left out stays as it was.

        Args:
            percent: 0 to 100, clamped; NaN or infinite: unknown. Left out, it follows from `done` and `total`
                (from `done` alone: 20·log10(1 + done), at most 95). Given alone, it takes back `done` and `total`.
            message: One line for the person who waits; about 1 800 bytes are kept.
            unit: What is counted: "rows".
        """
        page = self._page
        if page.cancel_requested:
            raise TaskStopped("cancelled")
        if message is not None and not isinstance(message, str):
            raise _wrong_type("message", "text", message)
        if unit is not None and not isinstance(unit, str):
            raise _wrong_type("unit", "text", unit)
        with self._lock:
            share, said, counted, whole, what = self._report
            if done is not None or total is not None:
                if done is not None:
                    counted = done if type(done) is int else _whole("done", done)
                if total is not None:
                    whole = total if type(total) is int else _whole("total", total)
                if percent is None:
                    share = self._derived(counted, whole, share)
            elif percent is not None:
                counted = whole = what = None
            if percent is not None:
                share = self._mapped(percent if type(percent) is float else _number("percent", percent))
            said = said if message is None else message
            self._publish((share, said, counted, whole, what if unit is None else unit))

    def track(
        self, items: Iterable[T], *, total: int | None = None, message: str | None = None, unit: str | None = None
    ) -> Iterator[T]:
        """Yield the items and report how many are done, at a price of some nanoseconds an item.

        Inside another `track` of the same thread it moves the bar within the outer item; in other
        threads the first one reports.

        Args:
            total: How many there are, if `len(items)` does not say so.
        """
        return chain.from_iterable(_Track(self, items, total, message, unit).chunks())

    @contextmanager
    def phase(self, name: str, weight: float) -> Iterator[None]:
        """Let reports inside the block fill a part of the bar; phases nest.

        Args:
            name: Becomes the message.
            weight: Percent points of the enclosing range (of the whole bar, or of the enclosing phase),
                from where the bar stands. At the end of the block the bar stands at the end of the part.
        """
        if not isinstance(weight, (int, float)):
            raise _wrong_type("weight", "a number", weight)
        if not 0 <= weight <= 100:
            raise ValueError(f"weight is {weight}; it is in percent points, 0 to 100")
        with self._lock:
            low, scale, high = self._low, self._scale, self._low + 100 * self._scale
            start = min(high, max(low, self._report[0] or low))
            self._low, self._scale = start, min(scale * weight, high - start) / 100
        try:
            self.update(0, name)
            yield
            self.update(100)
        finally:
            self._low, self._scale = low, scale

    def warn(self, text: str) -> None:
        """Add a line to the warnings of the status, which the person sees.

        The first 99 are kept as they are; beyond 100 the last one counts the rest.
        """
        self._stop_if_asked()
        if not isinstance(text, str):
            raise _wrong_type("text", "text", text)
        with self._lock:
            self._warnings += 1
            rest = self._warnings - WARNING_LIMIT + 1
        if rest > 1:
            if rest > 1000 and rest % 1000:
                return  # a task that warns a million times must not drown its supervisor
            text = f"{'At least ' if rest >= 1000 else ''}{rest} more warnings were not kept."
        elif len(text) > WARNING_LENGTH:
            text = text[: WARNING_LENGTH - 1] + "…"
        self._send("warning", text)

    def checkpoint(self, data: Any) -> None:
        """Keep `data` (JSON) for a later attempt, which finds it as `resumed_from`.

        Raises:
            SettingsError: When `data` is not JSON or too large.
        """
        self._stop_if_asked()
        self._send("checkpoint", plain(data, "checkpoint"))

    def _stop_if_asked(self) -> None:
        if self._page.cancel_requested:
            raise TaskStopped("cancelled")

    def _mapped(self, percent: float) -> float | None:
        if not isfinite(percent):
            return None
        return self._low + self._scale * (0.0 if percent < 0 else 100.0 if percent > 100 else percent)

    def _derived(self, done: int | None, total: int | None, otherwise: float | None) -> float | None:
        percent = derived_percent(done, total)
        return otherwise if percent is None else self._mapped(percent)

    def _count(self, done: int, total: int | None, unit: str | None) -> None:
        """Report what `track` counted; unlike `update` it stops nobody and can make the total unknown."""
        with self._lock:
            share, said, *_ = self._report
            self._publish((self._derived(done, total, share), said, done, total, unit))

    def _move(self, percent: float) -> None:
        """Report a share and leave the counts."""
        with self._lock:
            self._publish((self._mapped(percent), *self._report[1:]))

    def _publish(self, report: _Fields) -> None:
        self._report = report
        self._page.write(*report)
        if self._on_progress is not None:
            self._on_progress(Report(*report))


class _Track(Generic[T]):
    """One `track`: hands out chunks of about half a millisecond, so that no Python code runs for each item."""

    def __init__(
        self, status: LiveStatus, items: Iterable[T], total: int | None, message: str | None, unit: str | None
    ) -> None:
        self._status = status
        self._ticks = repeat(True, _MANY)
        # `compress` takes a tick after each item it got, so what is left of the ticks counts the items exactly.
        self._items = compress(items, self._ticks)
        self.total = _length(items) if total is None else total
        self._message = message
        self._unit = unit
        self._thread = threading.get_ident()
        self._process = os.getpid()

    def chunks(self) -> Iterator[Iterator[T]]:
        """Yield iterators over the next items; their consumer is done with one when it asks for the next."""
        status = self._status
        items, ticks, left = self._items, self._ticks, _MANY
        self._thread = threading.get_ident()
        ended = False
        try:
            self._begin()
            size, began, look_at, write_at = 1, monotonic(), 0.0, 0.0
            while True:
                yield islice(items, size)
                now, before, left = monotonic(), left, length_hint(ticks)
                if before - left < size:
                    ended = True
                    break
                if now >= look_at:
                    look_at = now + _LOOK_SECONDS
                    status._stop_if_asked()
                    if now >= write_at:
                        write_at = now + _WRITE_SECONDS
                        self._report(_MANY - left)
                spent, began = now - began, now
                if spent > _CHUNK_SECONDS:
                    size = max(1, int(size * _CHUNK_SECONDS / spent))
                elif size < _CHUNK_LIMIT and spent < _CHUNK_SECONDS / 2:
                    size *= 2
        finally:
            self._end(ended)

    def _begin(self) -> None:
        if self._message is not None:
            self._status.update(message=self._message)
        self._report(0)

    def _report(self, done: int) -> None:
        status = self._status
        outer = status._track
        if outer is None or outer is self:
            status._track = self
            status._count(done, self.total, self._unit)
        elif outer._thread == self._thread and outer.total and self.total:
            finished = _MANY - length_hint(outer._ticks) - 1
            status._move(100 * (finished + min(1.0, done / self.total)) / outer.total)

    def _end(self, ended: bool) -> None:
        if os.getpid() != self._process:
            return  # a copy in a forked process
        done = _MANY - length_hint(self._ticks)
        if ended and self.total is None:
            self.total = done
        self._report(done)
        if self._status._track is self:
            self._status._track = None


def derived_percent(done: int | None, total: int | None) -> float | None:
    """Return the share that counts give, None when they give none (nothing done yet said, a total of 0).

    With an unknown total it approaches 95 and says only that something moves: 20·log10(1 + done),
    the rule of the PHP and CMS task frameworks this replaces. Widgets show the count beside it.
    """
    if done is None:
        return None
    if total is None:
        return min(95.0, 20 * log10(1 + max(0, done)))
    return min(100.0, max(0.0, 100 * done / total)) if total > 0 else None


def _length(items: Iterable[object]) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]  # asks; most iterables have none
    except (TypeError, AttributeError, OverflowError):
        return None


def _whole(name: str, value: Any) -> int | None:
    """Return `value` as a whole number, None (unknown) if it is NaN or infinite."""
    if hasattr(type(value), "__index__"):
        return index(value)
    number = _number(name, value)
    return int(number) if isfinite(number) else None


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes, bytearray)):
        raise _wrong_type(name, "a number", value)
    try:
        return float(value)
    except OverflowError:
        return inf if value > 0 else -inf
    except (TypeError, ValueError):
        raise _wrong_type(name, "a number", value) from None


def _wrong_type(name: str, wanted: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")


_alive: weakref.WeakSet[LiveStatus] = weakref.WeakSet()


def _renew_locks() -> None:
    """A lock that another thread of the parent held at the fork would stay locked for ever here."""
    for status in _alive:
        status._lock = threading.RLock()


os.register_at_fork(after_in_child=_renew_locks)
