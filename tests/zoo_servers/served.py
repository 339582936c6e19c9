"""What the applications of this folder have in common: a task that tells where it runs, and the URLs that start it."""

from __future__ import annotations

import os
import select
import signal
from typing import Any

from flask import Flask, has_request_context, jsonify

from forktask import LiveStatus, Task, TaskStatus
from forktask.web import ForkTask


class ServedTask(Task):
    """Waits for the file `go`; tells what it found in its process."""

    code = ""

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        found = surroundings()
        status.update(1, "runs")
        while not os.path.exists("go"):
            select.select((), (), (), 0.02)
        return {**found, "code": self.code}


def surroundings() -> dict[str, Any]:
    numbers = [name for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]
    handled = [
        number.name
        for number in (signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT, signal.SIGWINCH)
        if signal.getsignal(number) is not signal.SIG_DFL
    ]
    return {
        "open": sorted(os.readlink(f"/proc/self/fd/{number}").partition(":")[0] for number in numbers),
        "signals": handled,
        "request": has_request_context(),
        "environ": sorted(os.environ),
        "folder": os.getcwd(),
        "user": os.geteuid(),
    }


def connect(app: Flask, task: type[Task]) -> None:
    """Add forktask and the URLs to an application."""
    ForkTask(app)

    @app.get("/")
    def index() -> Any:
        return jsonify(os.getpid())

    @app.get("/start")
    def start() -> Any:
        status = task.initiate({"a": 1})
        return jsonify(id=str(status.id), state=status.state, pid=os.getpid())

    @app.get("/state/<status_id>")
    def state(status_id: str) -> Any:
        return jsonify(TaskStatus.get(status_id).state)

    @app.get("/cancel/<status_id>")
    def cancel(status_id: str) -> Any:
        return jsonify(TaskStatus.get(status_id).cancel().state)

    @app.get("/wait/<status_id>")
    def wait(status_id: str) -> Any:
        open(f"waits-{status_id}", "x").close()
        return jsonify(TaskStatus.get(status_id).wait(60).state)
