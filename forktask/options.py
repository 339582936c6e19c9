"""What may be said of a task beside its class, and per call; checked when it is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, cast

from forktask import clock
from forktask.errors import SettingsError
from forktask.jsonvalues import plain
from forktask.progress import Report
from forktask.retry import Retry
from forktask.states import StartMethod

SHELL_LIMIT = PRIVATE_LIMIT = 64 * 1024
"""Most bytes of shell arguments, and of private arguments as JSON: one packet must hold both."""


class Options(TypedDict, total=False):
    """What `using` takes: all that varies per call but belongs to the task."""

    title: str
    """What a person reads instead of the task's title."""
    start_method: StartMethod | str
    queue: str
    """For `enqueue`."""
    priority: int
    """0 to 100, higher first."""
    run_after: datetime | timedelta | float
    """For `enqueue`: an aware time, or how long from now (seconds)."""
    metadata: Any
    """JSON of the application's own, kept in the row."""
    on_progress: Callable[[Report], None]
    """Called with each report; start method `inline` only."""


class TaskOptions(TypedDict, total=False):
    """What `@task` takes; each as the class attribute of `Task` of that name."""

    name: str
    title: str
    timeout: float
    retry: Retry
    resumable: bool
    start_method: StartMethod | str


def checked_options(options: dict[str, Any]) -> Options:
    """Return the options of `using` if they are right.

    Raises:
        TypeError: Naming those that it does not take.
        ValueError: Naming a wrong value.
    """
    if unknown := sorted(set(options) - set(Options.__annotations__)):
        raise TypeError(f"using() does not take {', '.join(unknown)}; it takes {', '.join(Options.__annotations__)}")
    if not 0 <= options.get("priority", 50) <= 100:
        raise ValueError(f"priority is {options['priority']}; it is 0 to 100, higher first")
    if "start_method" in options:
        StartMethod(options["start_method"])
    if "metadata" in options:
        options["metadata"] = plain(options["metadata"], "metadata")
    return cast(Options, options)


def start_time(given: datetime | timedelta | float | None) -> datetime | None:
    """Return the time that `run_after` means; a duration counts from now."""
    if given is None or isinstance(given, datetime):
        if given is not None and given.tzinfo is None:
            raise ValueError(f"run_after={given!r} has no time zone")
        return given
    return clock.after(given.total_seconds() if isinstance(given, timedelta) else given)


def shell_texts(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return shell arguments if a command line can hold them; else raise `SettingsError`."""
    if isinstance(arguments, str):
        raise SettingsError("shell_arguments", "is one text; return a list of texts")
    for index, argument in enumerate(arguments):
        if not isinstance(argument, str):
            raise SettingsError(f"shell_arguments[{index}]", f"is a {type(argument).__name__}; arguments are text")
        if "\0" in argument:
            raise SettingsError(f"shell_arguments[{index}]", "contains a NUL character, which no command line can hold")
    if (size := sum(len(argument.encode()) + 1 for argument in arguments)) > SHELL_LIMIT:
        raise SettingsError("shell_arguments", f"are {size} bytes; at most {SHELL_LIMIT} can be handed over")
    return tuple(arguments)
