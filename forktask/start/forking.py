"""Start method `fork`: double fork of the calling process, for scripts and closures."""

from __future__ import annotations

import threading
from functools import partial

from forktask import clock, forks, native, place, process
from forktask.config import Settings
from forktask.errors import LaunchError
from forktask.supervisor.boot import serve_forked
from forktask.supervisor.order import Order

MOMENT = 0.001
MOMENTS = 50


def refuse_threads() -> None:
    """Refuse to fork a process with threads: a lock that one of them holds stays locked for ever in the child.

    Raises:
        LaunchError: This process has more than one thread, or gevent runs it.
    """
    if native.is_patched():
        raise LaunchError("start method fork needs a process in which gevent has patched nothing: use forkserver")
    for _ in range(MOMENTS):
        if process.thread_count() == 1 or threading.active_count() > 1:
            break
        clock.sleep(MOMENT)  # one of Python's has ended and is on its way out
    if (threads := process.thread_count()) > 1:
        raise LaunchError(f"start method fork needs a process with one thread; this one has {threads}: use forkserver")


def start(settings: Settings, order: Order, context: place.Context) -> None:
    """Fork a supervisor for one order out of this process.

    Raises:
        LaunchError: The kernel refuses.
    """
    try:
        forks.double_fork(partial(serve_forked, settings, order, context))
    except OSError as error:
        raise LaunchError(f"cannot fork: {error}") from error
