"""What the processes know of a task: plain data and three functions, taken from its class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from forktask.live import LiveStatus
from forktask.retry import NO_RETRY, Retry
from forktask.states import StartMethod

Execute = Callable[[LiveStatus, Sequence[str], Mapping[str, Any]], Any]
"""Runs the task once: what it reports to, its shell arguments, its private arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefinition:
    """One registered task.

    Attributes:
        module: Where it is defined, as another process imports it.
        timeout: Seconds that one attempt may run, time paused left out; None: no limit.
        resumable: An interrupted attempt is always followed by another.
        start_method: None: as the settings say.
        parse_settings: From the stored JSON to what `status.settings` is.
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
