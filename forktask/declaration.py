"""What a task class declares, read and checked when it is defined."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partialmethod
from types import FunctionType
from typing import Any

from pydantic import BaseModel, ValidationError

from forktask.errors import SettingsError
from forktask.jsonvalues import plain
from forktask.phases import PHASE_LIMIT
from forktask.rules import RULES, Rules

BATCH_LIMIT = 1000
"""Most statuses in one batch: each has a page of memory, and is looked at a few times a second."""


def check_methods(cls: Any, *, has_batch: bool) -> None:
    """Refuse methods that could not be called with a status, or would return before they have run."""
    for name in ("execute", "execute_batch") if has_batch else ("execute",):
        given = inspect.getattr_static(cls, name)
        arguments = ("self", "status") if isinstance(given, FunctionType | partialmethod) else ("status",)
        check_function(getattr(cls, name), f"{cls.__qualname__}.{name}", arguments)


def check_function(function: Callable[..., Any], name: str, arguments: tuple[str, ...] = ("status",)) -> None:
    """Refuse what could not be called with these arguments, or would return before it has run."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{name} is asynchronous; a task is a plain function, which may call asyncio.run()")
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{name} has a yield, and so would do nothing when it is called; a task is a plain function")
    try:
        signature = inspect.signature(function, follow_wrapped=False)  # a decorator may add what a status is not
    except ValueError:  # something of C, which does not tell
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise TypeError(f"{name}{signature} is called as {name}({', '.join(arguments)}): {error}") from None


def declared_timeout(cls: Any) -> float | None:
    """Return the seconds that an attempt may run."""
    given: float | None = cls.timeout
    if given is not None and not (type(given) in (int, float) and 0 < given < math.inf):
        raise TypeError(f"{cls.__qualname__}.timeout is {given!r}; it is a number of seconds above 0, or None")
    return given


def declared_phases(cls: Any) -> tuple[str, ...]:
    """Return the names of its phases."""
    names: object = cls.phases
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name.strip() for name in names):
        raise TypeError(f"{cls.__qualname__}.phases is {names!r}; it is a tuple of the names of its phases")
    if len(names) > PHASE_LIMIT:
        raise TypeError(f"{cls.__qualname__}.phases has {len(names)} names; a bar shows at most {PHASE_LIMIT}")
    return tuple(names)


def declared_rules(cls: Any) -> Rules:
    """Return its rules."""
    try:
        return Rules(**{name: getattr(cls, name) for name in RULES})
    except ValueError as error:
        raise TypeError(f"{cls.__qualname__}: {error}") from None


def declared_batch(cls: Any, *, has_batch: bool) -> int:
    """Return how many statuses its `execute_batch` gets at most."""
    given: Any = cls.batch
    if type(given) is not int or not 1 <= given <= BATCH_LIMIT:
        raise TypeError(f"{cls.__qualname__}.batch is {given!r}; it is a whole number, 1 to {BATCH_LIMIT}")
    if has_batch is not (given > 1):
        raise TypeError(f"{cls.__qualname__} needs both: batch, more than 1, and execute_batch(statuses)")
    return given


def _model(cls: Any) -> type[BaseModel] | None:
    model = getattr(cls, "Settings", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def settings_parser(cls: Any) -> Callable[[Any], Any]:
    """Return the function from stored JSON to what `status.settings` is."""
    model = _model(cls)
    return model.model_validate if model else lambda raw: raw


def settings_check(cls: Any) -> Callable[[Any], Any]:
    """Return the function that turns what a caller gives into JSON, or refuses it by name and path."""
    model = _model(cls)
    if model is None:
        return lambda given: plain({} if given is None else given, "settings")

    def check(given: Any) -> Any:
        try:
            valid = model.model_validate({} if given is None else given)
        except ValidationError as error:
            first = error.errors()[0]
            path = "settings" + "".join(f"[{part!r}]" for part in first["loc"])
            raise SettingsError(path, f"is refused: {first['msg']}") from error
        return plain(valid.model_dump(mode="json"), "settings")

    return check


def overridden(cls: Any, root: Any, hook: str) -> bool:
    """Return True if a class below `root` says otherwise than `root`."""
    own, original = getattr(cls, hook), getattr(root, hook)
    return getattr(own, "__func__", own) is not getattr(original, "__func__", original)
