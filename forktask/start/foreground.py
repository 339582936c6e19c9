"""Becoming a worker: the supervisor in the foreground, in place of the command that was called."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict
from typing import NoReturn

from forktask import host, process
from forktask.start.destination import Destination
from forktask.start.starting import occupied
from forktask.supervisor.options import WorkerOptions


def exclusive_lock(
    directory: host.PrivateDirectory, application: str, database_url: str, queues: Collection[str]
) -> bool:
    """Take the lock of one worker, until this process ends; False if it is taken.

    One lock for each application, database and set of queues on this host.
    """
    name = hashlib.sha256("\n".join([application, database_url, *sorted(queues)]).encode()).hexdigest()[:16]
    lock = os.open(f"exclusive.{name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=directory.fileno())
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    return True


def redirect(output: str) -> None:
    """Have the log go to a file, at its end, or to standard output if that is `-`.

    Raises:
        OSError: It cannot be opened.
    """
    if output == "-":
        os.dup2(1, 2)
        return
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)


def become_worker(destination: Destination, options: WorkerOptions) -> NoReturn:
    """Replace this program by a worker, which keeps its pid, its terminal and its streams.

    It listens where the web processes of its own version and environment ring, unless a supervisor does so already. One
    that will end by itself does not: what those hand over once would end with it.

    Raises:
        LaunchError: There is no private directory.
        OSError: The kernel refuses.
    """
    with contextlib.ExitStack() as stack:
        directory = destination.directory
        listens = directory is not None and not options.is_limited
        own = stack.enter_context(occupied(destination, directory)) if directory is not None and listens else None
        configuration = destination.configuration() | (own or {})
        configuration |= {"name": destination.name if own else "", "worker": asdict(options)}
        memory = os.memfd_create("forktask worker")
        with open(memory, "wb", closefd=False) as file:
            file.write(json.dumps(configuration).encode())
        os.lseek(memory, 0, os.SEEK_SET)
        os.dup2(memory, 0)
        for descriptor in (own or {}).values():
            os.set_inheritable(descriptor, True)
        command = process.command("supervisor", destination.name, "worker", *options.weights)
        os.execve(command[0], command, host.exec_environment(os.environ))  # noqa: S606 - our own interpreter
