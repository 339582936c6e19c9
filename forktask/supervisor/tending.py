"""Being the nursery: a process that forks a runner whenever it is asked, and does nothing else.

It is asked with one packet that carries the descriptors of a runner (page, socket, output), and answers with the
runner's pid, or with the negative number of an error.

What it writes into its pages between two forks, the first of the two runners keeps as a copy of its own: hence the bare
loop, where others would write functions.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import socket
import struct
from collections.abc import Callable, Collection
from functools import partial
from typing import NoReturn

from forktask import birth, descriptors, forks, process
from forktask.progress import Page, VacantPage

log = logging.getLogger("forktask.supervisor")

NAME = b"nursery"
ANSWER = struct.Struct("=i")
AT_LEISURE, IN_HASTE = b"R", b"H"
"""What asks for a runner that will wait for its order, and for one for which an order waits."""
DESCRIPTORS = 3
NO_ROOM = -errno.EMFILE
"""The kernel gives as many descriptors as there is room for, and closes the others."""
Fork = Callable[[Callable[[], NoReturn]], int]


def tend(given: birth.Birth, sock: socket.socket, pages: Collection[Page]) -> NoReturn:
    """Be the nursery, until the supervisor hangs up; in the forked child.

    Signals are for the supervisor, who ends us: they stay blocked, until a runner lets them in.
    """
    process.block_signals()
    process.die_with(given.parent)
    descriptors.close_all_but({0, 1, 2, sock.fileno()}, inherited=given.inherited)
    for page in pages:
        page.close()
    fork = _how_to_fork()
    process.rename(NAME)
    birth.make_ready(given)
    _answer(sock, fork, _Cradle(given, sock))


def _how_to_fork() -> Fork:
    try:
        return forks.ForkForParent()
    except OSError as error:
        log.info("runners are forked by the supervisor: %s", error)
        return partial(_refuse, error)


def _refuse(error: OSError, child: object) -> int:
    raise error


class _Cradle:
    """What becomes a runner, with the descriptors that came for it."""

    __slots__ = ("collects", "given", "has_time", "numbers", "page", "sock")

    def __init__(self, given: birth.Birth, sock: socket.socket) -> None:
        self.given = given
        self.sock = sock
        self.numbers: list[int] = []
        self.page = VacantPage()
        self.has_time = True
        self.collects = gc.isenabled()

    def __call__(self) -> NoReturn:
        """Be the runner; in the forked child."""
        os.close(self.sock.fileno())
        if self.collects:
            gc.enable()
        memory, connection, output = self.numbers
        page = self.page.take(memory)
        os.close(memory)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, fileno=connection)
        birth.run_ready(self.given, sock, output, page, has_time=self.has_time)


def _answer(sock: socket.socket, fork: Fork, cradle: _Cradle) -> NoReturn:
    """Take in requests and answer them."""
    gc.disable()
    gc.collect()
    gc.freeze()
    receive, send, pack, close = sock.recvmsg, sock.send, ANSWER.pack, os.close
    space = socket.CMSG_SPACE(DESCRIPTORS * ANSWER.size)
    try:
        while True:
            data, ancillary, _, _ = receive(1, space, socket.MSG_CMSG_CLOEXEC)
            if not data:
                os._exit(0)
            cradle.has_time = data == AT_LEISURE
            numbers = cradle.numbers = memoryview(ancillary[0][2]).cast("i").tolist() if ancillary else []
            try:
                answer = fork(cradle) if len(numbers) == DESCRIPTORS else NO_ROOM
            except OSError as error:
                answer = -(error.errno or errno.EAGAIN)
            for number in numbers:
                close(number)
            send(pack(answer))
    except OSError:  # the supervisor is gone
        os._exit(0)
