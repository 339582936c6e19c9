"""FORKTASK_DEBUG_RUNNER: the runner waits until a debugger has attached."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from forktask import State
from tests import zoo
from tests.ports import claimed_port
from tests.runtimes import PATIENCE, MakeRuntime
from tests.waiting import wait_until


class Debugger:
    """As little of a debugger as debugpy needs to let a program go on (Debug Adapter Protocol)."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.number = 0

    def ask(self, command: str, arguments: dict[str, Any]) -> None:
        """Send one request."""
        self.number += 1
        request = {"seq": self.number, "type": "request", "command": command, "arguments": arguments}
        body = json.dumps(request).encode()
        self.sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))

    def wait_for(self, word: str) -> None:
        """Read until the answers hold this word."""
        seen = b""
        while word.encode() not in seen:
            piece = self.sock.recv(65536)
            assert piece, f"the debugger was left before {word}"
            seen += piece


@pytest.fixture
def port() -> Iterator[int]:
    with claimed_port() as port:
        yield port


def attach(port: int) -> Debugger | None:
    """Return a connection to the runner's debug server, None while there is none."""
    try:
        return Debugger(port)
    except ConnectionRefusedError:
        return None


def test_the_runner_waits_until_a_debugger_attaches(
    make_runtime: MakeRuntime, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORKTASK_DEBUG_RUNNER", str(port))
    make_runtime()
    status = zoo.echo.initiate({"a": 1})
    debugger = wait_until(lambda: attach(port), PATIENCE, "the runner's debug server")
    assert debugger is not None
    assert status.refresh().state is State.RUNNING
    debugger.ask("initialize", {"adapterID": "test", "pathFormat": "path"})
    debugger.ask("attach", {"subProcess": False})
    debugger.wait_for('"initialized"')
    assert status.refresh().state is State.RUNNING, "it must wait for the debugger, not only listen"
    debugger.ask("configurationDone", {})
    assert status.wait(PATIENCE).result == {"a": 1}
    debugger.sock.close()
    assert f"waits for a debugger at 127.0.0.1:{port}" in "".join(row.text for row in status.log())
