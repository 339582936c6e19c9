"""The runner: the process in which `execute` runs, and the words it sends to its supervisor.

Words, each a JSON object with the key `word`: `warning`, `phases`, `checkpoint`, and one last one: `done`,
`error`, `exit` or `stopped`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, NoReturn, TypeAlias
from uuid import UUID

from forktask import barecalls, bars, channel, current, hooks, lastword, place, process, registry
from forktask.definition import TaskDefinition
from forktask.errors import TaskStopped
from forktask.jsonvalues import plain
from forktask.lastword import TRACEBACK_LIMIT
from forktask.live import LiveStatus
from forktask.progress import Page, Report

ASKED = signal.SIGURG
"""Asks a runner for its newest report. Nobody else uses it, and a process that does not know it never notices."""
Send = Callable[[str, Any], None]
Word: TypeAlias = dict[str, Any]
log = logging.getLogger("forktask.runner")

_listens = False
"""True in a runner, and not in what only became ready to be one."""
_kept: Page | None = None
"""In a runner that executes many orders: its page, which says which of them is to stop."""
_stopping = False
"""True when SIGTERM has nothing more to stop: it was heard, or `execute` has returned."""
_held = threading.local()
"""The signal mask of a thread that forks."""


def set_handlers() -> None:
    """Have SIGTERM stop the task, and the supervisor ask for its newest report, once signals are let in."""
    global _stopping
    _stopping = False
    barecalls.set_handler(signal.SIGTERM, _stop)
    barecalls.set_handler(ASKED, _catch_up)


def listen_to_signals() -> None:
    """Let signals in; from here on this process is a runner."""
    global _listens
    _listens = True
    barecalls.set_mask(barecalls.REPLACE, ())


def serve(order: Mapping[str, Any], sock: socket.socket, page: Page, context: place.Context) -> NoReturn:
    """Execute one order, send how it went, and end the process; its output is redirected already."""
    if "ends" in order:
        hooks.serve(order, context)
    voice = Voice(sock)
    voice.say_last(run_here(order, voice, page, context))


def keep(page: Page) -> None:
    """Note that this process executes many orders."""
    global _kept
    _kept = page


def run_here(order: Mapping[str, Any], voice: Voice, page: Page, context: place.Context) -> dict[str, Any]:
    """Execute one order in this process alone; return the last word, when all that was printed is on its way."""
    (last,) = be_runner_of(order["task"], lambda: [run(order, voice.tell, page, context)])
    return last


def be_runner_of(task: str, work: Callable[[], list[Word]]) -> list[Word]:
    """Return the last words of work for a task, when all that was printed is on its way."""
    process.rename(title(task))
    me = os.getpid()
    words = work()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    if os.getpid() != me:
        _leave_fork(words[0])
    return words


@functools.cache
def title(task: str) -> bytes:
    """Return what `ps -o comm` shows of a runner: the last part of the task's name, as far as there is room for it."""
    return f"task:{task.rpartition('.')[2]}".encode()[:15].decode(errors="ignore").encode()


class Voice:
    """The connection to the supervisor; a task may close it, as daemons close all descriptors, and use its number."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._is_ours = os.fstat(sock.fileno()).st_ino
        self._lock = threading.Lock()
        self._number = 0

    def of(self, number: int) -> Voice:
        """Return the voice of one of many orders, or of a batch: its words bear the number."""
        voice = Voice.__new__(Voice)
        voice._sock, voice._is_ours, voice._lock, voice._number = self._sock, self._is_ours, self._lock, number
        return voice

    def say(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises:
            OSError: The supervisor is gone, or the task has closed the connection.
        """
        with self._lock:
            try:
                is_ours = os.fstat(self._sock.fileno()).st_ino == self._is_ours
            except OSError:
                is_ours = False
            if not is_ours:
                raise OSError(errno.EBADF, "the task has closed the connection to its supervisor")
            mask = barecalls.set_mask(barecalls.BLOCK, (signal.SIGTERM,))  # half a message is worse than none
            try:
                channel.send(self._sock, {**message, "number": self._number} if self._number else message)
            finally:
                barecalls.set_mask(barecalls.REPLACE, mask)

    def tell(self, word: str, value: Any) -> None:
        """Send a word that is not the last one."""
        self.say({"word": word, "value": value})

    def say_last(self, last: Mapping[str, Any]) -> NoReturn:
        """Send the last word, and end the process."""
        self.say_or_leave(last)
        os._exit(0 if last["word"] == "done" else 1)

    def say_or_leave(self, last: Mapping[str, Any]) -> None:
        """Send how an order went; where nobody can hear it, end the process."""
        try:
            self.say(last)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.write(2, f"forktask: {error}; lost is: {json.dumps(last)[:TRACEBACK_LIMIT]}\n".encode())
            os._exit(1)


def run(
    order: Mapping[str, Any],
    send: Send,
    page: Page,
    context: place.Context,
    on_progress: Callable[[Report], None] | None = None,
) -> dict[str, Any]:
    """Execute the order in the application's context; return the last word."""
    is_outermost = not current.all_live()  # a task may run another one inline
    with current.Running() as until_judged:
        try:
            definition: TaskDefinition = registry.get(order["task"])
            wait_for_debugger()
            with context():
                live = live_status(order, definition, send, page, on_progress)
                until_judged.begin(live)
                pick_up_bars()
                hooks.before(definition.name, live)
                found = definition.execute(live, order.get("shell") or (), order.get("private") or {})
                if is_outermost:
                    stop_no_more()
                result = plain(found, "result")
                hooks.after(definition.name, live, result)
                return {"word": "done", "value": result}
        except BaseException as error:  # user code: whatever it raises becomes the end of the attempt
            return lastword.of(error, order["task"])
        finally:
            if is_outermost:
                stop_no_more()


def stop_no_more() -> None:
    """Note that SIGTERM has nothing more to stop here."""
    global _stopping
    _stopping = True


def _leave_fork(last: Mapping[str, Any]) -> NoReturn:
    """End a process that the task forked and that came back out of `execute`: the runner speaks for itself."""
    with contextlib.suppress(Exception):
        sys.stderr.write(last.get("traceback") or "")
    os._exit(0 if last["word"] == "done" else 1)


def pick_up_bars() -> None:
    """Have tqdm bars move the bar of the status; for once and all."""
    bars.install(current.live)


def live_status(
    order: Mapping[str, Any],
    definition: TaskDefinition,
    send: Send,
    page: Page,
    on_progress: Callable[[Report], None] | None = None,
) -> LiveStatus:
    """Return what `execute` gets to hold."""
    return LiveStatus(
        page=page,
        send=send,
        status_id=UUID(order["id"]),
        settings=definition.parse_settings(order["settings"]),
        attempt=order["attempt"],
        resumed_from=order.get("checkpoint"),
        task=definition.name,
        phases=definition.phases,
        on_progress=on_progress,
        worker_arguments=place.worker_arguments(),
    )


def wait_for_debugger() -> None:
    """With FORKTASK_DEBUG_RUNNER set (1, or a port) wait until a debugger attaches through debugpy."""
    wanted = os.environ.get("FORKTASK_DEBUG_RUNNER")
    if not wanted or wanted == "0":
        return
    try:
        import debugpy  # noqa: PLC0415 - an option of the developer's desk
    except ImportError:
        log.warning("FORKTASK_DEBUG_RUNNER is set but debugpy is not installed")
        return
    port = int(wanted) if wanted.isdigit() and int(wanted) > 1 else 5678
    address = debugpy.listen(("127.0.0.1", port))
    log.warning("pid=%d waits for a debugger at %s:%d", os.getpid(), *address)
    debugpy.wait_for_client()


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM: raise in `execute`, once; before that it kills, as it would without us; who is done sends its word."""
    global _stopping
    if _stopping or (_kept is not None and _kept.stops_another):
        return
    if not current.all_live():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    _stopping = True
    for live in current.batch():
        live._page.request_cancel()  # who catches it for one of them is through with all of them soon
    raise TaskStopped


def _hold_sigterm() -> None:
    """Before a task forks: what comes now waits, or Python would drop it in the child."""
    if _listens and signal.getsignal(signal.SIGTERM) is _stop:
        _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def _let_sigterm_through() -> None:
    if (mask := _held.__dict__.pop("mask", None)) is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _be_stopped_by_default() -> None:
    """In what the task forks SIGTERM does what it always does.

    `multiprocessing.Pool` ends its workers by it: raised in one that holds the pool's lock, `TaskStopped` would leave
    it locked for ever.
    """
    if _listens and signal.getsignal(signal.SIGTERM) is _stop:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _let_sigterm_through()


os.register_at_fork(before=_hold_sigterm, after_in_parent=_let_sigterm_through, after_in_child=_be_stopped_by_default)


def _catch_up(number: int, frame: FrameType | None) -> None:
    """The supervisor asks, since loops may have gone on after the last report."""
    for live in current.all_live():
        live._bar.catch_up()
