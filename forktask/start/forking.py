"""Start method `fork`: double fork of the calling process, for scripts and closures."""

from __future__ import annotations

from functools import partial

from forktask import place, process
from forktask.config import Settings
from forktask.errors import LaunchError
from forktask.supervisor.boot import serve_forked
from forktask.supervisor.charge import Order


def start(settings: Settings, order: Order, context: place.Context) -> None:
    """Fork a supervisor for one order out of this process.

    Raises:
        LaunchError: This process has more than one thread (a lock that another thread holds would
            stay locked for ever in the child), or the kernel refuses.
    """
    if (threads := process.thread_count()) > 1:
        raise LaunchError(f"start method fork needs a process with one thread; this one has {threads}: use forkserver")
    try:
        process.double_fork(partial(serve_forked, settings, order, context))
    except OSError as error:
        raise LaunchError(f"cannot fork: {error}") from error
