"""What the command line and FLASK_APP say about the application: `gunicorn "pkg:create_app()"`, `flask --app pkg`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType

from forktask.application.loading import USUAL_FACTORIES
from forktask.application.source import is_library

_COLON = re.compile(r":(?![\\/])")
"""As Flask splits `--app`: not after the drive of a Windows path."""
_CALL = re.compile(r"(?P<name>[^\W\d]\w*)\s*\(.*\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A module that this process was told to serve; `expression` is empty if it was told no more."""

    module: str
    expression: str


def entries() -> list[Entry]:
    """Return what the command line names, then FLASK_APP; only modules of the application that are loaded."""
    words = [word.partition("=")[2] if word.startswith("--") else word for word in sys.argv[1:]]
    words.append(os.environ.get("FLASK_APP", ""))
    found = []
    for word in words:
        place, *rest = _COLON.split(word, maxsplit=1)
        module = _loaded(place.strip(), named=bool(rest))
        if module is not None:
            found.append(Entry(module=module, expression="".join(rest).strip()))
    return found


def _loaded(place: str, *, named: bool) -> str | None:
    """Return the key in `sys.modules` of a module, or of one whose file is named.

    A library's counts only if an attribute of it is `named`: any word may be the name of a library.
    """
    if not place:
        return None
    if place.endswith(".py"):
        path = os.path.realpath(place)
        files = ((key, getattr(module, "__file__", None)) for key, module in list(sys.modules.items()))
        return next((key for key, file in files if file and os.path.realpath(file) == path), None)
    module = sys.modules.get(place)
    if module is None or (is_library(getattr(module, "__file__", None)) and not named):
        return None
    return place


def factories() -> Iterator[Entry]:
    """Yield the factories that the process was told to call, with their arguments."""
    for entry in entries():
        names = vars(sys.modules[entry.module])
        call = _CALL.fullmatch(entry.expression)
        if call is not None:
            usable = {entry.expression: names.get(call["name"])}
        else:
            tried = (entry.expression,) if entry.expression else USUAL_FACTORIES
            usable = {f"{name}()": names.get(name) for name in tried}
        for expression, function in usable.items():
            if isinstance(function, FunctionType):
                yield Entry(module=entry.module, expression=expression)
                break
