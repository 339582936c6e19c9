"""A runner says what no runner says: its end is told all the same, and the supervisor goes on."""

from __future__ import annotations

import json
import os
import socket
import stat

import pytest

from forktask import LiveStatus, Task, channel
from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.runtimes import ended, the_supervisor

WORDS = {
    "no json": b"\xff{",
    "no object": b"[1]",
    "no word": b"{}",
    "an unknown cause": json.dumps({"word": "error", "cause": "boredom"}).encode(),
}


class NonsenseTask(Task):
    """Writes bytes of its own into the connection to its supervisor, and ends."""

    def execute(self, status: LiveStatus) -> None:
        """Send `WORDS[say]` as a message."""
        data = WORDS[status.settings["say"]]
        for name in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{name}"
            if int(name) > 2 and os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
                socket.socket(fileno=int(name)).sendall(channel.HEAD.pack(len(data)) + data)
                os._exit(3)


@pytest.mark.parametrize("say", WORDS)
def test_an_attempt_whose_runner_talks_nonsense_ends_as_its_process_did(runtime: Runtime, say: str) -> None:
    other = zoo.wait.initiate({"path": "/nowhere"})
    supervisor = the_supervisor(runtime.store)
    status = ended(NonsenseTask.initiate({"say": say}))
    assert (status.state, status.cause) == (State.FAILED, Cause.EXIT), status.row
    assert status.error
    assert status.attempts()[0].exit_code == 3
    assert the_supervisor(runtime.store) == supervisor
    other.cancel()
    assert ended(other).state is State.CANCELLED
