"""Supervisors and workers without the imports of an interpreter, where their start is not what is tested.

A start costs half a second of a processor, nearly all of it imports, and tests make hundreds. Here they are forks of
one interpreter for each process of pytest: see `warm_interpreter`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from forktask import host, process

ROOT = Path(__file__).parents[1]
SOME_KILOBYTES = "x" * 20_000
really_exec_detached = process.exec_detached


def _for_python(env: Mapping[str, str]) -> dict[str, str]:
    """Return what Python reads when it starts."""
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


AT_START = _for_python(host.exec_environment(os.environ))


@cache
def _interpreter() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Return the interpreter, and the connection to it; it is started when it is first needed."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_RUNTIME", "PYTHON"))}
    env |= {"PYTHONPATH": str(ROOT), **AT_START, "TEST_PADDING": SOME_KILOBYTES}
    command = [sys.executable, "-P", str(ROOT / "tests" / "warm_interpreter.py"), str(theirs.fileno()), SOME_KILOBYTES]
    with theirs:
        nothing = subprocess.DEVNULL
        return ours, subprocess.Popen(command, env=env, pass_fds=[theirs.fileno()], stdin=nothing, stdout=nothing)


def close() -> None:
    """End it, at the end of all tests."""
    if _interpreter.cache_info().currsize:
        connection, interpreter = _interpreter()
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()
        interpreter.wait()
        _interpreter.cache_clear()


def start(command: Sequence[str], env: Mapping[str, str], given: Mapping[int, int], *, is_orphan: bool) -> int:
    """Fork what behaves as `python -P -m forktask …`; return its pid, when it is what `ps` says.

    Args:
        given: Our descriptors, by the numbers that they have there.
        is_orphan: It is no child of ours.
    """
    program = {"command": command, "env": dict(env), "folder": os.getcwd(), "path": sys.path, "numbers": [*given]}
    data = json.dumps({"program": program, "is_orphan": is_orphan}).encode()
    answer, theirs = os.pipe()
    try:
        try:
            connection, _ = _interpreter()
            socket.send_fds(connection, [data], [*given.values(), theirs])
        finally:
            os.close(theirs)
        return int(os.read(answer, 20))
    finally:
        os.close(answer)


def exec_detached(
    command: list[str], *, stdin: int, stderr: int, keep: Collection[int], env: Mapping[str, str]
) -> None:
    """Do what `process.exec_detached` does; for another Python than ours, as with a `sitecustomize`, by that."""
    if _for_python(env) != AT_START:
        really_exec_detached(command, stdin=stdin, stderr=stderr, keep=keep, env=env)
        return
    null = os.open(os.devnull, os.O_RDWR)
    try:
        start(command, env, {0: stdin, 1: null, 2: stderr} | {one: one for one in keep}, is_orphan=True)
    finally:
        os.close(null)


@contextmanager
def supervisors() -> Iterator[None]:
    """Have supervisors be forks that are warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "exec_detached", exec_detached)
        yield


class Command(subprocess.Popen[str]):
    """`forktask …`, in a fork that is warm."""

    def __init__(self, *arguments: str, env: Mapping[str, str], **streams: Any) -> None:
        command = [sys.executable, "-P", "-m", "forktask", *arguments]
        super().__init__(command, env=env, stdin=subprocess.DEVNULL, text=True, **streams)

    def _execute_child(self, *given: Any) -> None:
        """Start it, and not as `Popen` does; the order of what is given is that of CPython's."""
        command, env = given[0], given[6]
        ours = {number: given[at] if given[at] >= 0 else number for number, at in enumerate((10, 13, 15))}
        self.pid = start(command, env, ours, is_orphan=False)
        self._child_created = True
        self._close_pipe_fds(*given[10:16])  # type: ignore[attr-defined]
