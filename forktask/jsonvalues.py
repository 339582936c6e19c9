"""JSON in, JSON out: what may be stored, and the exact place of what may not."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from forktask.errors import SettingsError

JSON_LIMIT = 1024 * 1024
"""Most bytes of settings, result, checkpoint or metadata, as UTF-8."""

DEPTH_LIMIT = 100
"""Deepest nesting that every database and reader takes."""


compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Returns the shortest JSON text of a value."""

INTEGER_BITS = 1024
"""Longest whole number: readers that know floats only take no larger one."""


def to_json(value: Any, name: str, *, limit: int = JSON_LIMIT) -> str:
    """Return `value` as JSON text.

    Args:
        name: What the value is called in errors: "settings", "result".
        limit: Most bytes of the text, as UTF-8.

    Raises:
        SettingsError: With the path of the first value that is not JSON, or the size.
    """
    _check(value, name, 0)
    text = compact(value)
    if len(text) * 4 > limit and (size := len(text.encode())) > limit:
        raise SettingsError(name, f"is {size} bytes as JSON; at most {limit} are kept: store it and pass where it is")
    return text


def plain(value: Any, name: str, *, limit: int = JSON_LIMIT) -> Any:
    """Return `value` as JSON gives it back (tuples become lists), checked as `to_json` does."""
    if value is None:
        return None
    return json.loads(to_json(value, name, limit=limit))


def _check(value: Any, path: str, depth: int) -> None:
    # Enums of text, markup and numbers of NumPy derive from these; they are kept as what they derive from.
    if isinstance(value, str):
        _check_text(value, path)
    elif value is None or isinstance(value, bool):
        return
    elif isinstance(value, int):
        if value.bit_length() > INTEGER_BITS:
            raise SettingsError(path, "is a whole number beyond 1e308, which JSON readers refuse; pass it as text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise SettingsError(path, f"is {value}, which JSON does not have")
    elif depth >= DEPTH_LIMIT:
        raise SettingsError(path, f"is nested more than {DEPTH_LIMIT} deep (or contains itself)")
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise SettingsError(path, f"has the key {key!r} of type {type(key).__name__}; keys must be text")
            _check_text(key, f"the key {key!r} of {path}")
            _check(item, f"{path}[{key!r}]", depth + 1)
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check(item, f"{path}[{index}]", depth + 1)
    else:
        kind = type(value)
        raise SettingsError(path, f"is a {kind.__module__}.{kind.__qualname__}, which is not JSON; {_advice(value)}")


def _check_text(text: str, path: str) -> None:
    if "\0" in text:
        raise SettingsError(path, "contains a NUL character, which databases refuse")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SettingsError(path, f"contains a lone surrogate at {error.start}") from None


def _advice(value: Any) -> str:
    if isinstance(value, Mapping):
        return "pass dict(…)"
    if isinstance(value, (set, frozenset)):
        return "pass sorted(…), a list"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "write it to a file and pass the path, or pass text"
    if hasattr(value, "isoformat"):
        return "pass .isoformat(), or declare a pydantic model as Settings"
    return "pass its id, or the plain values the task needs"
