"""What the processes know of a task: plain data and three functions, taken from its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forktask.live import LiveStatus
from forktask.retry import NO_RETRY, Retry
from forktask.rules import NO_RULES, Rules
from forktask.states import StartMethod

Size = Callable[[Any], float]
"""Given settings as `execute` sees them; compared with `inline_below`."""
Execute = Callable[[LiveStatus, Sequence[str], Mapping[str, Any]], Any]
"""Runs the task once: what it reports to, its shell arguments, its private arguments."""
ExecuteBatch = Callable[[Sequence[LiveStatus]], Any]
"""Runs many at once: what each reports to; returns the list of their results, an exception for each that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """One registered task.

    Attributes:
        module: Where it is defined, as another process imports it.
        timeout: Seconds that one attempt may run, time paused left out; None: no limit.
        resumable: An interrupted attempt is always followed by another.
        start_method: None: as the settings say.
        phases: Names of its phases, as far as it declares them.
        parse_settings: From the stored JSON to what `status.settings` is.
        is_stored: All that a run needs stands in its row; False where it has shell or private arguments.
        rules: Uniqueness and the like; a call may say otherwise.
        size: Tells how large a call is, where a rule asks for it.
        batch: Most rows that `execute_batch` gets at once; 1: it has none.
        prepare: Runs in an exec'd process before anything else; may return a database URL.
    """

    name: str
    module: str
    title: str
    execute: Execute
    parse_settings: Callable[[Any], Any]
    prepare: Callable[[Sequence[str]], str | None]
    timeout: float | None = None
    retry: Retry = field(default=NO_RETRY)
    resumable: bool = False
    start_method: StartMethod | None = None
    phases: tuple[str, ...] = ()
    is_stored: bool = True
    rules: Rules = NO_RULES
    size: Size | None = None
    batch: int = 1
    execute_batch: ExecuteBatch | None = None
