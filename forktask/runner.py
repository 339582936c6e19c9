"""The runner: the process in which `execute` runs, and the words it sends to its supervisor.

Words, each a JSON object with the key `word`: `warning`, `checkpoint`, and one last one: `done`,
`error`, `exit` or `stopped`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, NoReturn
from uuid import UUID

from forktask import bars, capture, channel, descriptors, memory, place, process, registry
from forktask.definition import TaskDefinition
from forktask.errors import SettingsError, TaskError, TaskStopped
from forktask.jsonvalues import plain
from forktask.live import LiveStatus
from forktask.progress import Page, Report
from forktask.states import Cause

TRACEBACK_LIMIT = 64 * 1024
Send = Callable[[str, Any], None]
log = logging.getLogger("forktask.runner")

_live: LiveStatus | None = None
_stopping = False
"""True when SIGTERM has nothing more to stop: it was heard, or `execute` has returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a runner is born with; `kept` are objects of the supervisor that must not be finalised."""

    parent: int
    sock: socket.socket
    page: Page
    output: int
    context: place.Context
    log_level: str
    inherited: frozenset[int]
    descriptor_limit: tuple[int, int]
    kept: tuple[Any, ...] = ()


def run_forked(birth: Birth) -> NoReturn:
    """Become a runner, wait for an order, execute it and leave; in the forked child."""
    os.setsid()
    process.die_with(birth.parent)
    become_runner(birth.output, birth.sock, birth.inherited)
    resource.setrlimit(resource.RLIMIT_NOFILE, birth.descriptor_limit)
    order = channel.receive(birth.sock)
    if order is None:
        os._exit(0)
    serve(order, birth.sock, birth.page, birth.context, birth.log_level)


def become_runner(output: int, sock: socket.socket, inherited: frozenset[int]) -> None:
    """Leave everything of the supervisor behind: signals, descriptors, random numbers."""
    global _stopping
    _stopping = False
    place.enter("runner")
    process.reset_signals()
    signal.signal(signal.SIGTERM, _stop)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(output, 1)
    os.dup2(output, 2)
    descriptors.close_all_but({0, 1, 2, sock.fileno()}, inherited=inherited)
    memory.offer_to_out_of_memory_killer()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # as Python itself does with its own at each fork


def serve(order: Mapping[str, Any], sock: socket.socket, page: Page, context: place.Context, level: str) -> NoReturn:
    """Execute one order, send how it went, and end the process."""
    capture.redirect_output(level)
    me = os.getpid()
    lock = threading.Lock()

    def send(word: str, value: Any) -> None:
        with lock:
            channel.send(sock, {"word": word, "value": value})

    last = run(order, send, page, context)
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    if os.getpid() != me:
        _leave_fork(last)
    with lock, contextlib.suppress(OSError):
        channel.send(sock, last)
    os._exit(0 if last["word"] == "done" else 1)


def run(
    order: Mapping[str, Any],
    send: Send,
    page: Page,
    context: place.Context,
    on_progress: Callable[[Report], None] | None = None,
) -> dict[str, Any]:
    """Execute the order in the application's context; return the last word."""
    global _live, _stopping
    try:
        definition: TaskDefinition = registry.get(order["task"])
        wait_for_debugger()
        with context():
            live = _live = live_status(order, definition, send, page, on_progress)
            bars.install(lambda: _live)
            result = definition.execute(live, order.get("shell") or (), order.get("private") or {})
            _stopping = True
            return {"word": "done", "value": plain(result, "result")}
    except TaskStopped:
        return {"word": "stopped", "traceback": _cut(traceback.format_exc())}
    except SystemExit as error:
        return {"word": "exit", "code": error.code & 0xFF if isinstance(error.code, int) else 1}
    except BaseException as error:  # user code: whatever it raises becomes the end of the attempt
        return describe(error, order["task"])
    finally:
        _stopping = True
        _live = None


def _leave_fork(last: Mapping[str, Any]) -> NoReturn:
    """End a process that the task forked and that came back out of `execute`: the runner speaks for itself."""
    with contextlib.suppress(Exception):
        sys.stderr.write(last.get("traceback") or "")
    os._exit(0 if last["word"] == "done" else 1)


def live_status(
    order: Mapping[str, Any],
    definition: TaskDefinition,
    send: Send,
    page: Page,
    on_progress: Callable[[Report], None] | None,
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
        on_progress=on_progress,
    )


def describe(error: BaseException, task: str) -> dict[str, Any]:
    """Return the word for what `execute` raised.

    `retry` is the task's rule applied here, where the exception still is an object.
    """
    memory = isinstance(error, MemoryError)
    text = traceback.format_exc() if memory else "".join(traceback.format_exception(error))
    definition = registry.find(task)
    from_rule = definition.retry.applies(cause_of(error), error) if definition else False
    sentence = str(error) if isinstance(error, TaskError) and str(error) else None
    if isinstance(error, SettingsError) and error.path.startswith("result"):
        sentence = None
    return {
        "word": "error",
        "class": f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins."),
        "traceback": _cut(text),
        "sentence": sentence,
        "retry": from_rule,
        "cause": cause_of(error).value,
    }


def cause_of(error: BaseException) -> Cause:
    """Return the cause that an exception of `execute` stands for."""
    return Cause.OUT_OF_MEMORY if isinstance(error, MemoryError) else Cause.EXCEPTION


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
    """SIGTERM: raise in `execute`, once; a runner without an order just leaves, one that is done sends its word."""
    global _stopping
    if _stopping:
        return
    if _live is None:
        os._exit(0)
    _stopping = True
    raise TaskStopped


def _cut(text: str) -> str:
    """Keep the end: the frames nearest to the error come last."""
    return text if len(text) <= TRACEBACK_LIMIT else "[…]\n" + text[-TRACEBACK_LIMIT:]
