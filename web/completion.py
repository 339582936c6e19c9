"""The application's own function at the end of a task: called on the server, once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from uuid import uuid4

from flask import current_app, g

from forktask import ConfigurationError, ForkTaskError, TaskStatus
from forktask.web.redirects import checked_url
from forktask.web.visitor import ALONE

log = logging.getLogger("forktask.web")

Hook = Callable[[TaskStatus], str | None]
"""Gets the completed status; returns where the person goes on, None: to `next_url`."""
PATIENCE = 300.0
"""Seconds after which a hook of which nothing was heard is called anew: its process was killed."""
SIGNS = 5
"""How often a process says in that time that its hook still runs."""
NAME_LIMIT = 255


class Hooks:
    """The completion hooks of an application, by name: the end is often seen in another process than the start."""

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}

    def add(self, hook: Hook) -> None:
        """Register a function under the name that it has in every process."""
        self._hooks[_name(hook)] = hook

    def name(self, hook: Hook) -> str:
        """Return the registered name of a function.

        Raises:
            ConfigurationError: It is not registered.
        """
        name = _name(hook)
        if name not in self._hooks:
            raise ConfigurationError(
                [f"on_complete={name} is not registered; write @forktask.on_complete above the function"]
            )
        return name

    def get(self, name: str) -> Hook:
        """Return the function of a name.

        Raises:
            ConfigurationError: This process has none.
        """
        if name not in self._hooks:
            raise ConfigurationError([f"no completion hook is registered as {name}; is its module imported?"])
        return self._hooks[name]


def place_after(status: TaskStatus, hook: str, next_url: str, allowed_origins: Collection[str]) -> str | None:
    """Call the hook of a completed status unless that was done, and return where the person goes on.

    A hook that raises did not happen: the next look calls it again.

    Returns:
        None while another request calls it.
    """
    state = current_app.extensions["forktask"]
    store, function = state.runtime.store, state.hooks.get(hook)
    holder = uuid4()
    row = store.begin_completion(status.id, hook, holder, patience=PATIENCE)
    if row.returned_at is not None:
        return row.next_url or next_url
    if row.holder != holder:
        return None
    try:
        with _kept(lambda: store.keep_completion(row)):
            answer = function(status)
    except BaseException:
        store.forget_completion(row)
        raise
    try:
        url = None if answer is None else checked_url("the answer of on_complete", answer, allowed_origins)
    except BaseException:
        store.end_completion(row, None)  # it was called, whatever it said
        raise
    store.end_completion(row, url)
    return url or next_url


@contextmanager
def _kept(keep: Callable[[], None]) -> Iterator[None]:
    """Let nobody else call the hook however long it takes, by a thread that says that it still runs.

    It steps aside while the hook starts a task that is forked from this very process, which needs one thread for that.
    """
    sign = _Sign(keep)
    setattr(g, ALONE, sign.withheld)
    sign.begin()
    try:
        yield
    finally:
        sign.end()
        g.pop(ALONE)


class _Sign:
    def __init__(self, keep: Callable[[], None]) -> None:
        self._keep = keep

    def begin(self) -> None:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._say_so, name="forktask-completion", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    @contextmanager
    def withheld(self) -> Iterator[None]:
        self.end()
        try:
            yield
        finally:
            self.begin()

    def _say_so(self) -> None:
        ended = self._ended
        while not ended.wait(PATIENCE / SIGNS):
            try:
                self._keep()
            except ForkTaskError as error:
                log.warning("cannot say that a completion hook still runs: %s", error)


def _name(hook: Hook) -> str:
    return f"{hook.__module__}.{hook.__qualname__}"[:NAME_LIMIT]
