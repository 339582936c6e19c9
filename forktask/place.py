"""Where this code runs, and which context a task of this application needs around it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from forktask.errors import LaunchError

Context = Callable[[], AbstractContextManager[Any]]

_here = "application"
_preloading = False
_contexts: list[tuple[weakref.ref[Any], Callable[[], Context | None]]] = []
"""Applications and what gives their contexts; neither is kept alive: tests make an application each."""
_database_url: str | None = None
_version = ""
_reference = ""
_worker_arguments: tuple[str, ...] = ()


def in_supervisor() -> bool:
    """Return True in a supervisor and in its runners.

    An application that starts threads when it is imported (monitoring, schedulers) asks this to leave
    them out there: a process with threads cannot be forked safely, so each task then costs a start of
    the interpreter.
    """
    return _here != "application"


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
    is_method_of_it = getattr(context, "__self__", None) is application
    found: Callable[[], Context | None] = weakref.WeakMethod(context) if is_method_of_it else lambda: context
    _contexts.append((weakref.ref(application, _forget), found))


def _forget(reference: weakref.ref[Any]) -> None:
    _contexts[:] = [(known, context) for known, context in _contexts if known is not reference]


def context_of(application: object) -> Context:
    """Return the surroundings for an application, or for what wraps it (`ProxyFix(app)`).

    An object that nobody provided for gets the context that was provided last; a plain script none.
    """
    for candidate in (application, getattr(application, "app", None), getattr(application, "wsgi_app", None)):
        for known, find in list(_contexts):
            if candidate is not None and candidate is known() and (context := find()) is not None:
                return context
    last = _contexts[-1][1]() if _contexts else None
    return last or nullcontext


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


def set_worker_arguments(arguments: Sequence[str]) -> None:
    """Note what this worker, and so its runners, was told for its tasks."""
    global _worker_arguments
    _worker_arguments = tuple(arguments)


def worker_arguments() -> tuple[str, ...]:
    """Return that; empty where no worker runs the task."""
    return _worker_arguments


def set_database_url(url: str) -> None:
    """Let `prepare()` say which database this process uses, instead of the settings."""
    global _database_url
    _database_url = url


def database_url() -> str | None:
    """Return what `prepare()` said."""
    return _database_url
