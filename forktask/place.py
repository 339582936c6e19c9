"""Where this code runs, and which context a task of this application needs around it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from forktask.errors import LaunchError

Context = Callable[[], AbstractContextManager[Any]]

_here = "application"
_preloading = False
_contexts: list[tuple[object, Context]] = []
_database_url: str | None = None
_version = ""
_reference = ""


def in_supervisor() -> bool:
    """Return True in a supervisor and in its runners.

    An application that starts threads when it is imported (monitoring, schedulers) asks this to leave
    them out there: a process with threads cannot be forked safely, so each task then costs a start of
    the interpreter.
    """
    return _here != "application"


def in_runner() -> bool:
    """Return True in the process in which `execute` runs."""
    return _here == "runner"


def enter(place: str) -> None:
    """Note that this process has become a "supervisor" or a "runner"."""
    global _here
    _here = place


def set_preloading(value: bool) -> None:
    """Note that a supervisor imports the application at this moment."""
    global _preloading
    _preloading = value


def refuse_while_preloading() -> None:
    """Stop a program that starts tasks when it is imported.

    Raises:
        LaunchError: A supervisor imports this module; without this each supervisor would start a task.
    """
    if _preloading:
        raise LaunchError(
            "a task is started while its module is imported, which the supervisor does too; "
            "move the call into a function or under `if __name__ == '__main__':`"
        )


def provide_context(application: object, context: Context) -> None:
    """Make `context()` the surroundings of every task of `application`."""
    _contexts.append((application, context))


def context_of(application: object) -> Context:
    """Return the surroundings for an application, or for what wraps it (`ProxyFix(app)`).

    An object that nobody provided for gets the context that was provided last; a plain script none.
    """
    for candidate in (application, getattr(application, "app", None), getattr(application, "wsgi_app", None)):
        for known, context in _contexts:
            if candidate is not None and candidate is known:
                return context
    return _contexts[-1][1] if _contexts else nullcontext


def set_code(reference: str, version: str) -> None:
    """Note what this supervisor and its runners have imported, and the version of that code."""
    global _reference, _version
    _reference, _version = reference, version


def version() -> str:
    """Return that version; empty in the application itself."""
    return _version


def reference() -> str:
    """Return what was imported; empty in the application itself."""
    return _reference


def set_database_url(url: str) -> None:
    """Let `prepare()` say which database this process uses, instead of the settings."""
    global _database_url
    _database_url = url


def database_url() -> str | None:
    """Return what `prepare()` said."""
    return _database_url
