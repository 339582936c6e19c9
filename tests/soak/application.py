"""The application under the soak: it is copied into the folder of each site, where a deploy changes its release."""

from __future__ import annotations

import ctypes
import faulthandler
import hashlib
import logging
import os
import select
import signal
import subprocess
from typing import Any

from flask import Flask, Response, jsonify, render_template_string, request

from forktask import Cause, LiveStatus, Retry, Task, TaskStatus, in_supervisor
from forktask.errors import LaunchError, StateError, StatusNotFoundError, StoreError
from forktask.web import ForkTask
from tests.soak.journal import Writer, journaled
from tests.soak.processes import WHERE

AGAIN = Retry(attempts=4, backoff=0.2, factor=1.5, always=(Cause.SUPERVISOR_GONE, Cause.TIMEOUT))
DEAF_FAMILY = "trap '' TERM; sh -c 'trap \"\" TERM; sleep 600' & echo $!; wait"
PAGE = "<!doctype html><head>{{ forktask_head() }}</head>{{ forktask_progress(status) }}"


def pause(seconds: float) -> None:
    """Take time, as work does."""
    select.select((), (), (), seconds)


class Journaled(Task):
    """Keeps a journal of each attempt; `work` is the task."""

    def execute(self, status: LiveStatus) -> dict[str, Any]:
        with journaled(str(status.id), status.attempt) as journal:
            self.work(status, journal)
            return {"attempt": status.attempt, "pid": os.getpid()}

    def work(self, status: LiveStatus, journal: Writer) -> None:
        """Do it."""
        raise NotImplementedError


class Short(Journaled):
    """Over at once."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        status.update(50, "half")


class Long(Journaled):
    """Goes through items for some seconds."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        for _ in status.track(range(100), message="Counting", unit="rows"):
            pause(status.settings["seconds"] / 100)


class Failing(Journaled):
    """Raises in the middle."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        status.update(42, "before the error")
        raise ValueError("it is meant to fail")


class Retrying(Journaled):
    """Succeeds in the third attempt."""

    retry = AGAIN

    def work(self, status: LiveStatus, journal: Writer) -> None:
        pause(status.settings["seconds"] / 10)
        if status.attempt < 3:
            raise ValueError("not yet")


class Resumable(Journaled):
    """Goes on where the last attempt stood."""

    retry = AGAIN
    resumable = True

    def work(self, status: LiveStatus, journal: Writer) -> None:
        for step in range((status.resumed_from or {"step": 0})["step"], 20):
            status.update(5 * step, f"step {step}")
            pause(status.settings["seconds"] / 20)
            status.checkpoint({"step": step + 1})


class Late(Journaled):
    """Has a timeout, and sometimes needs longer."""

    timeout = 1.5

    def work(self, status: LiveStatus, journal: Writer) -> None:
        status.update(1, "waiting")
        pause(status.settings["seconds"] / 2)


class LateAgain(Late):
    """The same, run again."""

    retry = Retry(attempts=2, backoff=0.1, always=(Cause.TIMEOUT, Cause.SUPERVISOR_GONE))


class Family(Journaled):
    """Has a child and a grandchild, which ignore SIGTERM; leaves them behind."""

    retry = AGAIN

    def work(self, status: LiveStatus, journal: Writer) -> None:
        with subprocess.Popen(["/bin/sh", "-c", DEAF_FAMILY], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            journal.child(child.pid)
            journal.child(int(child.stdout.readline()))
            try:
                for step in range(10):
                    status.update(10 * step, "with family")
                    pause(status.settings["seconds"] / 10)
            finally:
                child.kill()  # the grandchild is left to forktask


class Shell(Journaled):
    """Gets an argument on its command line, and so an interpreter of its own."""

    shell_arguments_encrypted = True

    @classmethod
    def get_shell_arguments(cls) -> list[str]:
        return ["--soak", "é Ω"]

    def work(self, status: LiveStatus, journal: Writer) -> None:
        assert list(self.shell_arguments) == ["--soak", "é Ω"], self.shell_arguments
        status.update(50, "spawned")
        pause(status.settings["seconds"] / 4)


class Private(Journaled):
    """Gets what stands nowhere."""

    retry = AGAIN

    @classmethod
    def get_private_arguments(cls) -> dict[str, str]:
        return {"secret": hashlib.sha256(b"soak").hexdigest() * 100}

    def work(self, status: LiveStatus, journal: Writer) -> None:
        assert self.private_arguments["secret"] == hashlib.sha256(b"soak").hexdigest() * 100
        pause(status.settings["seconds"] / 4)
        if status.attempt < 2:
            raise ValueError("once more")


class Deaf(Journaled):
    """Ignores SIGTERM and reports nothing, so that only SIGKILL ends it early."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        status.update(10, "deaf")
        for _ in range(100):
            pause(status.settings["seconds"] / 100)


class Chatty(Journaled):
    """Prints more than is kept, and warns."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        for number in range(3000):
            print(number, "x" * 100)
        status.log.info("so much for that")
        status.warn("It was a lot.")


class Ending(Journaled):
    """Ends its process in all ways but returning."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        way = status.settings["way"] % 4
        if way == 0:
            os._exit(3)
        if way == 1:
            raise SystemExit(4)
        if way == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        ctypes.string_at(0)


class Parent(Journaled):
    """Starts another status from its runner and waits for it."""

    def work(self, status: LiveStatus, journal: Writer) -> None:
        child = Short.using(public=True).initiate(status.settings, owner=str(status.id))
        status.update(50, "waiting for a child")
        child.wait(status.settings["seconds"])


class Spawned(Long):
    """The same in a fresh interpreter."""

    start_method = "spawn"


KINDS = {
    kind.__name__.lower(): kind
    for kind in (
        *(Short, Long, Failing, Retrying, Resumable, Late, LateAgain, Family, Shell),
        *(Private, Deaf, Chatty, Ending, Parent, Spawned),
    )
}

if not in_supervisor():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(levelname)s %(name)s %(message)s")
    faulthandler.register(WHERE)

app = Flask(__name__)
app.secret_key = "soak"
ForkTask(app)


def told(status: TaskStatus) -> Response:
    return jsonify(id=str(status.id), state=status.state, attempt=status.attempt, percent=status.percent)


@app.post("/start/<kind>")
def start(kind: str) -> Response:
    return told(KINDS[kind].using(public=True).initiate(request.get_json()))


@app.get("/status/<status_id>")
def look(status_id: str) -> Response:
    return told(TaskStatus.get(status_id))


@app.get("/page/<status_id>")
def page(status_id: str) -> str:
    return render_template_string(PAGE, status=TaskStatus.get(status_id))


@app.get("/wait/<status_id>/<int:seconds>")
def wait(status_id: str, seconds: int) -> Response:
    return told(TaskStatus.get(status_id).wait(seconds))


@app.post("/<any(cancel, pause, resume, retry):verb>/<status_id>")
def order(verb: str, status_id: str) -> Response:
    return told(getattr(TaskStatus.get(status_id), verb)())


@app.errorhandler(StateError)
@app.errorhandler(LaunchError)
def refused(error: Exception) -> tuple[str, int]:
    return str(error), 409


@app.errorhandler(StatusNotFoundError)
def unknown(error: Exception) -> tuple[str, int]:
    return str(error), 404


@app.errorhandler(StoreError)
def away(error: Exception) -> tuple[str, int]:
    return str(error), 503
