"""The last word of a runner whose task raised: what its supervisor, and the row, get to know of the exception."""

from __future__ import annotations

import traceback
from typing import Any

from forktask import registry
from forktask.errors import SettingsError, TaskError, TaskStopped
from forktask.retry import RetryLater
from forktask.sentences import POSTPONED
from forktask.states import Cause

TRACEBACK_LIMIT = 64 * 1024


def of(error: BaseException, task: str) -> dict[str, Any]:
    """Return the word for what `execute` raised, whatever it is."""
    if isinstance(error, TaskStopped):
        return {"word": "stopped", "traceback": cut("".join(traceback.format_exception(error)))}
    if isinstance(error, SystemExit):
        code = error.code or 0
        return {"word": "exit", "code": code & 0xFF if isinstance(code, int) else 1}
    return describe(error, task)


def describe(error: BaseException, task: str) -> dict[str, Any]:
    """Return the word for an error.

    `retry` is the task's rule applied here, where the exception still is an object.
    """
    text = "".join(traceback.format_exception(error))
    definition = registry.find(task)
    from_rule = definition.retry.applies(cause_of(error), error) if definition else False
    sentence = str(error) if isinstance(error, TaskError) and str(error) else None
    if isinstance(error, SettingsError) and error.path.startswith("result"):
        sentence = None
    return {
        "word": "error",
        "class": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        "traceback": cut(text),
        "sentence": sentence,
        "retry": from_rule,
        "cause": cause_of(error).value,
        **(postponed(error) if isinstance(error, RetryLater) else {}),
    }


def postponed(error: RetryLater) -> dict[str, Any]:
    """Return what the word says of an attempt that asked for the next one itself."""
    return {"retry": True, "sentence": str(error) or POSTPONED, "delay": error.delay, "counts": error.counts}


def cause_of(error: BaseException) -> Cause:
    """Return the cause that an exception of `execute` stands for."""
    return Cause.OUT_OF_MEMORY if isinstance(error, MemoryError) else Cause.EXCEPTION


def cut(text: str) -> str:
    """Keep the end: the frames nearest to the error come last."""
    return text if len(text) <= TRACEBACK_LIMIT else "[…]\n" + text[-TRACEBACK_LIMIT:]
