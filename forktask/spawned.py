"""The runner that is a fresh interpreter: `python -m forktask run ID ARG…`, started by a supervisor.

Its standard input is the supervisor's socket, over which come the shared page, what to import, and
the order. The shell arguments stand on the command line, for everybody to see.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from forktask import application, batch, birth, capture, channel, host, place, process, registry, runner
from forktask.definition import TaskDefinition
from forktask.progress import Page
from forktask.states import Cause
from forktask.supervisor.preload import import_module


def main(shell: Sequence[str]) -> NoReturn:
    """Become the runner of one order.

    Args:
        shell: The arguments behind the id on the command line.
    """
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        sys.exit("forktask run is for supervisors, who start it; a task is started by its initiate()")
    sock = socket.socket(fileno=os.dup(0))
    page, config = _introduction(sock)
    process.die_with(config["parent"])
    host.restore_interpreter(config)
    place.set_code(config["application"], config["version"])
    place.set_worker_arguments(config["worker_arguments"])
    birth.become_runner({sock.fileno()}, output=1)
    try:
        loaded = application.load(config["application"])
        for module in config["modules"]:
            import_module(module)
        order = channel.receive(sock)
        if order is None:
            os._exit(0)
        if "ends" not in order:
            _prepare(order, shell)
    except BaseException:  # the application's code; the supervisor writes what became of it
        channel.send(sock, launch_failure(traceback.format_exc()))
        os._exit(1)
    order["shell"] = list(shell)
    capture.redirect_output(config["settings"]["log_level"])
    if "batch" in order:
        batch.serve(order, sock, place.context_of(loaded))
    runner.serve(order, sock, page, place.context_of(loaded))


def _introduction(sock: socket.socket) -> tuple[Page, dict[str, Any]]:
    _, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
    if not descriptors:
        os._exit(0)
    page = Page.from_descriptor(descriptors[0])
    os.close(descriptors[0])
    config = channel.receive(sock)
    if config is None:
        os._exit(0)
    return page, config


def _prepare(order: Mapping[str, Any], shell: Sequence[str]) -> None:
    """Run the task's hook before this process opens a database; it may say which."""
    definition: TaskDefinition = registry.get(order["task"])
    if url := definition.prepare(shell):
        place.set_database_url(url)


def launch_failure(detail: str) -> dict[str, Any]:
    """Return the last word of a runner that never came to `execute`."""
    return {"word": "error", "cause": Cause.LAUNCH.value, "class": None, "traceback": detail, "sentence": None,
            "retry": False}  # fmt: skip
