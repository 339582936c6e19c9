"""When a failed attempt is run again, and after how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from math import inf

from forktask.errors import TaskError
from forktask.moments import LONGEST, seconds
from forktask.states import Cause

Rule = type[BaseException] | Cause

MEMORY_ATTEMPTS = 2
"""Attempts that may run out of memory before it stays failed."""

DEFAULT_RULES: tuple[Rule, ...] = (Exception, Cause.EXIT, Cause.SIGNAL, Cause.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The retry rule of a task.

    Args:
        attempts: Runs of `execute` in all, the first included.
        backoff: Seconds before attempt 2.
        factor: Each further backoff is this many times the one before.
        ceiling: Longest backoff, in seconds.
        jitter: Share of the backoff that is random, 0 to 1; spreads many retries apart.
        on: Exception classes and causes that are run again.
        never: Exception classes and causes that are not, whatever `on` says.
        always: Further ones that are, beside `on`; name `Cause.TIMEOUT` or `Cause.SUPERVISOR_GONE`
            here to have those run again.
    """

    attempts: int = 3
    backoff: float = 1.0
    factor: float = 2.0
    ceiling: float = 300.0
    jitter: float = 0.1
    on: tuple[Rule, ...] = DEFAULT_RULES
    never: tuple[Rule, ...] = ()
    always: tuple[Rule, ...] = ()

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}; at least 1 is needed")
        if not (0 <= self.backoff < inf and 0 <= self.ceiling < inf and 1 <= self.factor < inf):
            raise ValueError("backoff and ceiling must not be negative, factor must be at least 1, all finite")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is {self.jitter}; it is a share between 0 and 1")
        for name in ("on", "never", "always"):
            _check_rules(name, getattr(self, name))

    def applies(self, cause: Cause, error: BaseException | None = None) -> bool:
        """Return True if an attempt that ended so is to be run again, attempts permitting."""
        if cause in (Cause.CANCELLED, Cause.LAUNCH):
            return False
        if _matches(self.never, cause, error):
            return False
        return _matches(self.always, cause, error) or _matches(self.on, cause, error)

    def delay(self, attempt: int) -> float:
        """Return seconds between the end of `attempt` and the next one (exponential backoff)."""
        try:
            seconds = self.backoff * self.factor ** (attempt - 1)
        except OverflowError:
            seconds = self.ceiling if self.backoff else 0.0
        seconds = min(self.ceiling, LONGEST, seconds)
        return seconds * (1 - self.jitter * random.random())  # noqa: S311 - spreads load, hides nothing


def _check_rules(name: str, rules: object) -> None:
    # A wrong rule would show itself only when an attempt fails, in the supervisor.
    if not isinstance(rules, tuple):
        raise TypeError(f"{name} must be a tuple of exception classes and causes, not {rules!r}")
    for rule in rules:
        if not isinstance(rule, Cause) and not (isinstance(rule, type) and issubclass(rule, BaseException)):
            raise TypeError(f"{name} holds {rule!r}, which is neither an exception class nor a Cause")


def _matches(rules: tuple[Rule, ...], cause: Cause, error: BaseException | None) -> bool:
    return any(rule == cause if isinstance(rule, Cause) else isinstance(error, rule) for rule in rules)


NO_RETRY = Retry(attempts=1)


class RetryLater(TaskError):  # noqa: N818 - it says what is to happen, and nothing went wrong
    """Raise it in `execute` to end the attempt and have the task run again later, whatever its rule says.

    It uses up an attempt like any other end: without attempts left (`retry = Retry(attempts=…)`) the status fails.

    Args:
        delay: Seconds, a timedelta, or text like `+10 minutes`.
        message: A sentence for the person who waits.
        counts: False: it uses up no attempt, so the task may come back for ever.

    Raises:
        ValueError: `delay` is none.
    """

    def __init__(self, delay: timedelta | float | str, message: str = "", *, counts: bool = True) -> None:
        self.delay = seconds(delay, "delay")
        self.counts = counts
        super().__init__(message)
