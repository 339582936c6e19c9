"""How a process becomes a runner: what it leaves behind of its supervisor, and what it gets."""

from __future__ import annotations

import gc
import os
import resource
import socket
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn
from uuid import UUID

from forktask import batch, capture, channel, descriptors, kept, memory, native, place, process, rehearsal, runner
from forktask.host import descent
from forktask.progress import Page

SPARE = b"forktask spare"
"""What `ps -o comm` says of a runner that waits for an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What all runners of a supervisor are born with."""

    parent: int
    supervisor_id: UUID
    context: place.Context
    patches: native.Patches
    log_level: str
    inherited: frozenset[int]
    descriptor_limit: tuple[int, int]


def run_forked(birth: Birth, sock: socket.socket, output: int, page: Page) -> NoReturn:
    """Become a runner, wait for an order, execute it and leave; in a child that the supervisor itself has forked."""
    gc.freeze()  # what the supervisor made since it froze its own: a collection here would copy it
    process.block_signals()
    descriptors.close_all_but({0, 1, 2, sock.fileno(), output}, inherited=birth.inherited)
    make_ready(birth)
    run_ready(birth, sock, output, page)


def make_ready(birth: Birth) -> None:
    """Do what is the same for all runners: in the nursery, so that none of them writes it into pages of its own.

    Signals have to be blocked.
    """
    os.environ[descent.VARIABLE] = str(birth.supervisor_id)  # for the programs that the task starts
    shed()
    resource.setrlimit(resource.RLIMIT_NOFILE, birth.descriptor_limit)
    capture.redirect_output(birth.log_level)
    runner.pick_up_bars()
    rehearsal.learn()


def run_ready(birth: Birth, sock: socket.socket, output: int, page: Page, *, has_time: bool = True) -> NoReturn:
    """Be a runner of its own in a process that is ready: wait for an order, execute it and leave.

    Args:
        has_time: No order waits for it.
    """
    process.rename(SPARE)
    os.setsid()
    process.die_with(birth.parent)
    settle(output)
    if has_time:
        rehearsal.rehearse()
    order = channel.receive(sock)
    if order is None:
        os._exit(0)
    birth.patches.become_runner()
    if "mark" in order:
        kept.serve(sock, page, birth.context, order["mark"])
    if "batch" in order:
        batch.serve(order, sock, birth.context)
    runner.serve(order, sock, page, birth.context)


def shed() -> None:
    """Leave signal handlers and standard input of the supervisor behind, and its turn when memory is short."""
    place.enter("runner")
    process.reset_handlers()
    runner.set_handlers()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    memory.offer_to_out_of_memory_killer()


def settle(output: int) -> None:
    """Take what this process has for itself: its output, its signals and random numbers."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    if output > 2:
        os.close(output)
    runner.listen_to_signals()
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed()  # as Python itself does with its own at each fork


def become_runner(keep: Collection[int], output: int) -> None:
    """Become a runner in an interpreter of its own.

    Args:
        keep: Descriptors that stay open.
    """
    shed()
    settle(output)
    descriptors.null_sockets(keep)
