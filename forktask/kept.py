"""The runner that is kept for many tasks: it executes one order after the other, as they lie in a box.

The box is a socket of which the supervisor has both ends: it puts orders in, and may take back what the runner has not
taken yet. So the next order lies ready, and still each comes to one of the two. What the task prints goes through one
pipe for all orders, in which a mark ends what each has printed.
"""

from __future__ import annotations

import contextvars
import ctypes
import fcntl
import json
import os
import random
import resource
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Container, Mapping
from typing import Any, Final, NoReturn

from forktask import barecalls, capture, clock, place, process, runner
from forktask.progress import Page
from forktask.states import Cause

PR_SET_CHILD_SUBREAPER: Final = 36
AT_ONCE: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
DESCRIPTOR: Final = struct.Struct("=i")
LARGE: Final = 64 * 1024
"""Bytes beyond which an order comes as a file of its own, since it would not fit into the box."""
TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
SEED: Final = 32
"""Bytes of chance for the random numbers of a task; Python itself takes 2500, which take longer than a small task."""
LIMITS: Final = (
    resource.RLIMIT_AS,
    resource.RLIMIT_CPU,
    resource.RLIMIT_DATA,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_STACK,
)
"""What a task might set for itself, and could not be raised again."""
FIRST_FREE: Final = 64
"""Where our own descriptors begin, out of the way of what a task opens and closes by number."""


def serve(sock: socket.socket, page: Page, context: place.Context, mark: str) -> NoReturn:
    """Execute orders until no more will come, or until one has left something behind; its output is redirected already.

    Args:
        mark: What ends the output of each.
    """
    box = receive_box(sock)
    _adopt_orphans()
    handlers, surroundings, usage, ending = Handlers(), Surroundings(), Usage(), mark.encode()
    connection = runner.Voice(sock)
    runner.keep(page)
    while (order := take(box)) is not None:
        voice = connection.of(order["number"])
        last = _execute(order, voice, page, context, handlers, usage)
        last["goes_on"] = surroundings.put_back(ending) and last["goes_on"]
        if not last["goes_on"]:
            voice.say_last(last)
        voice.say_or_leave(last)
    os._exit(0)


class Surroundings:
    """What a task may change of the process, as it was before the first one: output, working directory, umask."""

    def __init__(self) -> None:
        self._output = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
        self._directory = _directory()
        self._is_ours = [os.fstat(number).st_ino for number in (self._output, self._directory)]
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._streams = sys.stdin, sys.stdout, sys.stderr
        self._logging = capture.KeptLogging()
        self._standing = _standing()

    def put_back(self, mark: bytes) -> bool:
        """Put all back, and write `mark` behind what the task has printed.

        Returns:
            False if that cannot be: the task has closed our descriptors, and perhaps uses their numbers; or it has
            limited, or renounced, what nobody gives back.
        """
        try:
            if [os.fstat(number).st_ino for number in (self._output, self._directory)] != self._is_ours:
                return False
            os.dup2(self._output, 1)
            os.dup2(self._output, 2)
            os.fchdir(self._directory)
            os.umask(self._umask)
            self._put_back_streams()
            self._logging.put_back()
            os.write(self._output, mark)
        except OSError:
            return False
        return self._standing == _standing()

    def _put_back_streams(self) -> None:
        for stream in self._streams[1:]:
            if not stream.closed:
                stream.flush()
        if any(stream.closed for stream in self._streams):
            capture.open_streams()
            self._streams = sys.stdin, sys.stdout, sys.stderr
        sys.stdin, sys.stdout, sys.stderr = self._streams


def _standing() -> tuple[object, ...]:
    """Return what the kernel lets this process do: its limits, who it is, and how nice."""
    return *map(resource.getrlimit, LIMITS), os.geteuid(), os.getegid(), os.getpriority(os.PRIO_PROCESS, 0)


def _directory() -> int:
    """Return a descriptor of the working directory, out of the way."""
    found = os.open(".", getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(found, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
    finally:
        os.close(found)


def _execute(
    order: Mapping[str, Any],
    voice: runner.Voice,
    page: Page,
    context: place.Context,
    handlers: Handlers,
    usage: Usage,
) -> dict[str, Any]:
    """Execute one order; return its last word, with what else the supervisor has to know of it."""
    barecalls.set_mask(barecalls.BLOCK, (signal.SIGTERM,))
    page.begin(order["number"])  # which tells for whom a signal is
    _be_as_new()
    threads = threading.active_count()
    usage.begin()
    last = contextvars.copy_context().run(runner.run_here, order, voice, page, context)
    handlers.put_back()  # at once: what is in force here would be called in the midst of what follows
    found = page.read()
    is_alone = threading.active_count() <= threads and not _has_children()
    last |= usage.taken()  # after children that it did not wait for were collected: they count for this one
    last["report"] = found[1] if found is not None else None
    last["goes_on"] = _ended_well(last) and is_alone
    return last


class Usage:
    """What each task takes of the machine, one after the other."""

    def __init__(self) -> None:
        self._children = _cpu_of(resource.getrusage(resource.RUSAGE_CHILDREN))
        self._begun = self._cpu = 0.0

    def begin(self) -> None:
        """Note that a task begins."""
        self._cpu = time.process_time()
        self._begun = clock.monotonic()

    def taken(self) -> dict[str, Any]:
        """Return its seconds, those of processors, and the most bytes that were resident so far."""
        seconds = clock.monotonic() - self._begun
        cpu = time.process_time() - self._cpu
        own, of_children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        before, self._children = self._children, _cpu_of(of_children)
        memory = max(own.ru_maxrss, of_children.ru_maxrss) * 1024
        return {"seconds": seconds, "cpu": cpu + self._children - before, "memory": memory}


def _cpu_of(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _adopt_orphans() -> None:
    """Have what our children leave behind become our children (prctl(2))."""
    if process.LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Handlers:
    """The handlers of all signals, as they were before the first task."""

    def __init__(self) -> None:
        self._numbers = [int(number) for number in sorted(signal.valid_signals())]
        self._known = [barecalls.handler_of(number) for number in self._numbers]

    def put_back(self) -> None:
        """Have no timer and no handler that a task has left be felt by the next one."""
        for timer in TIMERS:
            signal.setitimer(timer, 0)
        signal.set_wakeup_fd(-1)
        pending = barecalls.pending()
        found = [barecalls.handler_of(number) for number in self._numbers]
        if pending or found != self._known:
            self._renew(pending, found)

    def _renew(self, pending: Container[int], found: list[Any]) -> None:
        for number, handler, now in zip(self._numbers, self._known, found, strict=True):
            if number in pending:
                barecalls.set_handler(number, barecalls.IGNORE)  # as the kernel forgets it then
            if handler is not None and (number in pending or now != handler):
                barecalls.set_handler(number, handler)


def _be_as_new() -> None:
    """Put back what a task may have changed and the next one must not feel."""
    runner.set_handlers()
    barecalls.set_mask(barecalls.REPLACE, ())
    random.seed(int.from_bytes(os.urandom(SEED)))
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()


def _ended_well(last: Mapping[str, Any]) -> bool:
    """Return True after a result or an exception; what else ends an attempt may have left anything behind."""
    return bool(last["word"] == "done" or (last["word"] == "error" and last["cause"] == Cause.EXCEPTION))


def _has_children() -> bool:
    """Return True if a task has left processes behind: they end with the runner. Collect those that have ended."""
    try:
        while os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is not None:
            pass
    except ChildProcessError:
        return False
    return True


def receive_box(sock: socket.socket) -> socket.socket:
    """Return the runner's end of the box, which comes over its connection."""
    _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
    if not descriptors:
        os._exit(0)
    high = fcntl.fcntl(descriptors[0], fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
    os.close(descriptors[0])
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=high)


def put(box: socket.socket, data: bytes) -> None:
    """Put an order in.

    Raises:
        BlockingIOError: The box is full.
        OSError: The runner is gone, or no descriptor is left.
    """
    if len(data) <= LARGE:
        box.send(data, AT_ONCE)
        return
    file = os.memfd_create("order")
    try:
        with open(file, "wb", closefd=False) as out:
            out.write(data)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, DESCRIPTOR.pack(file))
        box.sendmsg([b" "], [rights], AT_ONCE)
    finally:
        os.close(file)


def take(box: socket.socket, flags: int = 0) -> Any:
    """Take the next order out; None when no more will come.

    Raises:
        BlockingIOError: There is none, and `flags` say not to wait.
    """
    try:
        data, ancillary, _, _ = box.recvmsg(LARGE, socket.CMSG_SPACE(DESCRIPTOR.size), flags)
    except BlockingIOError:
        raise
    except OSError:  # a task has closed it
        return None
    if ancillary:
        with os.fdopen(DESCRIPTOR.unpack(ancillary[0][2])[0], "rb") as file:
            file.seek(0)
            data = file.read()
    return json.loads(data.decode()) if data else None
