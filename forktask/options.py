"""What may be said of a task beside its class, and per call; checked when it is said."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypedDict, cast

from forktask.definition import Size
from forktask.errors import SettingsError
from forktask.jsonvalues import plain
from forktask.limit import Limit
from forktask.moments import Moment, moment
from forktask.progress import Report
from forktask.queuename import QUEUE_RULE, is_queue
from forktask.retry import Retry
from forktask.rules import RULES, OnConflict, Rules, UniqueUntil
from forktask.start.doorbell import packet
from forktask.states import StartMethod

SHELL_LIMIT = PRIVATE_LIMIT = 64 * 1024
"""Most bytes of shell arguments, and of private arguments, each as JSON: one packet to the supervisor holds both."""


class Options(TypedDict, total=False):
    """What `using` takes: all that varies per call but belongs to the task."""

    title: str
    """What a person reads instead of the task's title."""
    start_method: StartMethod | str
    queue: str
    """For `enqueue`."""
    priority: int
    """0 to 100, higher first."""
    run_after: Moment | None
    """For `enqueue`: an aware time; or how long from now: seconds, a timedelta, `+10 minutes`, by the clock of the
    database. A number of at least 100 000 000 is a UNIX time; text without a plus is ISO 8601 with a zone."""
    public: bool
    """Anybody may see it; acting on it stays with its owner."""
    metadata: Any
    """JSON of the application's own, kept in the row."""
    on_progress: Callable[[Report], None]
    """Called with each report; start method `inline` only."""
    unique: str | None
    """The rules: see `Rules`, and the class attributes of `Task`."""
    unique_until: UniqueUntil
    on_conflict: OnConflict
    require_worker: bool
    inline_below: float | None
    delete_on_completion: bool
    limit: Limit | None


class TaskOptions(TypedDict, total=False):
    """What `@task` takes; each as the class attribute of `Task` of that name."""

    name: str
    title: str
    timeout: float
    retry: Retry
    resumable: bool
    start_method: StartMethod | str
    phases: Sequence[str]
    unique: str | None
    unique_until: UniqueUntil
    on_conflict: OnConflict
    require_worker: bool
    inline_below: float | None
    size: Size
    delete_on_completion: bool
    limit: Limit | None


def checked_options(options: dict[str, Any]) -> Options:
    """Return the options of `using` if they are right.

    Raises:
        TypeError: Naming those that it does not take.
        SettingsError: The queue is none.
        ValueError: Naming another wrong value.
    """
    if unknown := sorted(set(options) - set(Options.__annotations__)):
        raise TypeError(f"using() does not take {', '.join(unknown)}; it takes {', '.join(Options.__annotations__)}")
    _check_kinds(options)
    priority = options.get("priority", 50)
    if type(priority) is not int or not 0 <= priority <= 100:
        raise ValueError(f"priority is {priority!r}; it is a whole number, 0 to 100, higher first")
    if options.get("queue") is not None and not is_queue(options["queue"]):
        raise SettingsError("queue", f"is {options['queue']!r}; {QUEUE_RULE}")
    if options.get("run_after") is not None:
        moment(options["run_after"])
    if "start_method" in options:
        StartMethod(options["start_method"])
    Rules(**{name: options[name] for name in RULES if name in options})
    if "metadata" in options:
        options["metadata"] = plain(options["metadata"], "metadata")
    return cast(Options, options)


def _check_kinds(options: dict[str, Any]) -> None:
    for name in ("title", "queue"):
        if not isinstance(options.get(name), str | None):
            raise SettingsError(name, f"is {options[name]!r}; it is text")
    if type(options.get("public", False)) is not bool:
        raise SettingsError("public", f"is {options['public']!r}; it is True or False")
    if not (options.get("on_progress") is None or callable(options["on_progress"])):
        raise SettingsError("on_progress", f"is {options['on_progress']!r}; it is a function that takes a Report")


def rules_with(rules: Rules, options: Options) -> Rules:
    """Return the rules of a task with what a call says otherwise."""
    said: dict[str, Any] = {name: value for name, value in options.items() if name in RULES}
    return replace(rules, **said) if said else rules


def shell_texts(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return shell arguments if a command line can hold them; else raise `SettingsError`."""
    if isinstance(arguments, str):
        raise SettingsError("shell_arguments", "is one text; return a list of texts")
    for index, argument in enumerate(arguments):
        if not isinstance(argument, str):
            raise SettingsError(f"shell_arguments[{index}]", f"is a {type(argument).__name__}; arguments are text")
        if "\0" in argument:
            raise SettingsError(f"shell_arguments[{index}]", "contains a NUL character, which no command line can hold")
        _check_encoding(argument, f"shell_arguments[{index}]")
    if (size := len(packet(list(arguments)))) > SHELL_LIMIT:
        raise SettingsError("shell_arguments", f"are {size} bytes as JSON; at most {SHELL_LIMIT} can be handed over")
    return tuple(arguments)


def _check_encoding(argument: str, name: str) -> None:
    try:
        os.fsencode(argument)
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        problem = f"contains {argument[error.start]!a}, which a command line in {encoding} cannot hold"
        raise SettingsError(name, problem) from None
