"""What a task holds while it runs: its settings, and the means to report."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from math import inf, isfinite
from operator import index
from typing import Any, Final, TypeVar
from uuid import UUID

from forktask.jsonvalues import plain
from forktask.phases import Phases
from forktask.progress import CANCEL, Page, Report, clean
from forktask.track import Bar, Track

T = TypeVar("T")

WARNING_LIMIT: Final = 100
"""Most warnings an attempt keeps; who keeps them does `warnings[WARNING_LIMIT - 1:] = [text]`."""
WARNING_LENGTH: Final = 500
"""Most characters of a warning."""


class LiveStatus:
    """The status of a running task, as its `execute` sees it.

    Every method that reports raises `TaskStopped` once the task was asked to stop. Threads and forked
    processes of the task may report too. Ranges opened by `phase` are those of the whole task, so phases
    belong into one thread.

    Attributes:
        settings: What `initiate` was given; an instance of the task's `Settings` model if it declares one.
        attempt: 1 for the first run.
        resumed_from: What `checkpoint` of an earlier attempt left, or None.
        worker_arguments: What follows `--` on the command line of the worker that runs it.
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
        phases: Sequence[str] = (),
        on_progress: Callable[[Report], None] | None = None,
        worker_arguments: tuple[str, ...] = (),
    ) -> None:
        self.id = status_id
        self.worker_arguments = worker_arguments
        self.settings = settings
        self.attempt = attempt
        self.resumed_from = resumed_from
        self._task = task
        self._page = page
        self._bar = Bar(page, on_progress)
        self._send = send
        self._warnings = 0
        self._phases = Phases(phases, send)

    @property
    def log(self) -> logging.Logger:
        """Logger whose lines stand in the log of the attempt."""
        return logging.getLogger(f"forktask.task.{self._task}" if self._task else "forktask.task")

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
        bar = self._bar
        # What most tasks say most of the time goes straight through: done, total and unit left out, a share, a text.
        if (
            done is None
            and total is None
            and unit is None
            and type(message) is str
            and (type(percent) is float or type(percent) is int)
            and 0.0 <= percent <= 100.0
            and not bar.memory[CANCEL]
        ):
            with bar.lock:
                share = bar.low + bar.scale * percent
                bar.report = (share, message, None, None, None)
                bar.publish(share, message, None, None, None)
        else:
            self._update(percent, message, done, total, unit)

    def _update(
        self,
        percent: float | None,
        message: str | None,
        done: int | None,
        total: int | None,
        unit: str | None,
    ) -> None:
        self._bar.stop_if_asked()
        if message is not None and not isinstance(message, str):
            raise _wrong_type("message", "text", message)
        if unit is not None and not isinstance(unit, str):
            raise _wrong_type("unit", "text", unit)
        bar = self._bar
        with bar.lock:
            share, said, counted, whole, what = bar.report
            if done is not None or total is not None:
                counted = counted if done is None else _whole("done", done)
                whole = whole if total is None else _whole("total", total)
                if percent is None:
                    share = bar.derived(counted, whole, share)
            elif percent is not None:
                counted = whole = what = None
            if percent is not None:
                share = bar.mapped(percent if type(percent) is float else _number("percent", percent))
            said = said if message is None else message
            bar.show((share, said, counted, whole, what if unit is None else unit))

    def track(
        self, items: Iterable[T], *, total: int | None = None, message: str | None = None, unit: str | None = None
    ) -> Iterator[T]:
        """Yield the items and report how many are done, at a price of some nanoseconds an item.

        Inside another `track` of the same thread it moves the bar within the outer item; in other
        threads the first one reports. A loop that was left by `break` while its iterator has a name goes on
        holding the bar: `del` it. Items are handed out in chunks, so a cancel may be heard up to 32 items late.

        Args:
            total: How many there are, if `len(items)` does not say so.
        """
        if unit is not None and not isinstance(unit, str):
            raise _wrong_type("unit", "text", unit)
        loop = Track(self._bar, items, None if total is None else _whole("total", total), unit)
        if message is not None:
            self.update(message=message)
        return chain.from_iterable(loop.chunks())

    @contextmanager
    def phase(self, name: str, weight: float) -> Iterator[None]:
        """Let reports inside the block fill a part of the bar; phases nest.

        Args:
            name: Becomes the message; of a phase within no other also a step that the bar shows.
            weight: Percent points of the enclosing range (of the whole bar, or of the enclosing phase),
                from where the bar stands; what is left of it if that is less. At the end of the block the
                bar stands at the end of the part.
        """
        if not isinstance(name, str):
            raise _wrong_type("name", "text", name)
        if not isinstance(weight, (int, float)):
            raise _wrong_type("weight", "a number", weight)
        if not 0 <= weight < inf:
            raise ValueError(f"weight is {weight}; it is in percent points, 0 to 100")
        with self._bar.part(weight):
            self.update(0, name)
            with self._phases.within(name):
                yield
                self.update(100)

    def warn(self, text: str) -> None:
        """Add a line to the warnings of the status, which the person sees.

        The first 99 are kept as they are; beyond 100 the last one counts the rest.
        """
        self._bar.stop_if_asked()
        if not isinstance(text, str):
            raise _wrong_type("text", "text", text)
        with self._bar.lock:
            self._warnings += 1
            rest = self._warnings - WARNING_LIMIT + 1
        if rest > 1:
            if rest > 1000 and rest % 1000:
                return  # a task that warns a million times must not drown its supervisor
            text = f"{'At least ' if rest >= 1000 else ''}{rest} more warnings were not kept."
        elif len(text) > WARNING_LENGTH:
            text = text[: WARNING_LENGTH - 1] + "…"
        self._send("warning", clean(text).decode())

    def checkpoint(self, data: Any) -> None:
        """Keep `data` (JSON) for a later attempt, which finds it as `resumed_from`.

        Raises:
            SettingsError: When `data` is not JSON or too large.
        """
        self._bar.stop_if_asked()
        self._send("checkpoint", plain(data, "checkpoint"))


def _whole(name: str, value: Any) -> int | None:
    """Return `value` as a whole number, None (unknown) if it is NaN or infinite."""
    if type(value) is int:
        return value
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
        return sys.float_info.max if value > 0 else -sys.float_info.max
    except (TypeError, ValueError):
        raise _wrong_type(name, "a number", value) from None


def _wrong_type(name: str, wanted: str, value: object) -> TypeError:
    return TypeError(f"{name} must be {wanted}, not {type(value).__name__}")
