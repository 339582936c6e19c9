"""An interpreter that has imported forktask, and forks what tests would else start for half a second of imports.

It is asked with one packet that carries descriptors. What it forks is a child of its parent, as what that executes
would be, or an orphan; it shows a command line and an environment of its own to `ps`, then writes its pid into the last
descriptor.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import fcntl
import gc
import json
import os
import runpy
import signal
import socket
import sqlite3  # noqa: F401 - for the forks, as all that follows
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import psycopg  # noqa: F401
import pymysql  # noqa: F401
import sqlalchemy.dialects.mysql.pymysql
import sqlalchemy.dialects.postgresql.psycopg
import sqlalchemy.dialects.sqlite.pysqlite  # noqa: F401

import forktask.cli
import forktask.supervisor.boot
import forktask.web  # noqa: F401
from forktask import forks, process

MOST = 40
"""Descriptors that a packet carries at most."""
PACKET = 1 << 18
OUT_OF_THE_WAY = 700
"""Where descriptors begin that have not got their number yet."""
HANDED_OVER = "handed over"
ARGUMENTS, ENVIRONMENT = (47, 48), (49, 50)
"""Where `/proc/self/stat` has the addresses of what `ps` shows (proc(5)), counted from 0.

Whoever starts us makes room there, with a long argument and a long variable.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What `python -m forktask …` is called with.

    Attributes:
        path: What `sys.path` is.
        numbers: Under which its open descriptors are known to it.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    folder: str
    path: Sequence[str]
    numbers: Sequence[int]


def serve(sock: socket.socket) -> NoReturn:
    """Fork what is asked for, until nobody can ask any more."""
    process.block_signals()
    fork_for_parent = forks.ForkForParent()
    fork = copy.copy(fork_for_parent)
    fork._arguments = [*fork._arguments]
    fork._arguments[1] += signal.SIGCHLD - forks.CLONE_PARENT
    gc.collect()
    gc.freeze()
    while True:
        data, descriptors, _, _ = socket.recv_fds(sock, PACKET, MOST)
        if not data:
            os._exit(0)
        asked = json.loads(data)
        program = Program(**asked["program"])
        if asked["is_orphan"]:
            os.waitpid(fork(partial(_be_orphan, program, descriptors)), 0)
        else:
            fork_for_parent(partial(_be_child, program, descriptors))
        for descriptor in descriptors:
            os.close(descriptor)


def _be_orphan(program: Program, given: Sequence[int]) -> NoReturn:
    """Be what `process.exec_detached` starts."""
    os.setsid()
    if os.fork():
        os._exit(0)
    _answer(_take(program, given))
    _run(program)


def _be_child(program: Program, given: Sequence[int]) -> NoReturn:
    """Be a command, and what it executes in its place: that is this process, the command itself runs in a fork."""
    _answer(_take(program, given))
    ours, theirs = (_out_of_the_way(one) for one in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    child = os.fork()
    if child == 0:
        ours.close()
        os.execve = partial(_hand_over, theirs)
        _run(program)
    theirs.close()
    data, descriptors, _, _ = socket.recv_fds(ours, PACKET, MOST)
    ours.close()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if not data:
        _end_as(code)
    executed = Program(**json.loads(data))
    _take(executed, descriptors)
    _run(executed)


def _answer(answers: Sequence[int]) -> None:
    for answer in answers:
        os.write(answer, str(os.getpid()).encode())
        os.close(answer)


def _out_of_the_way(sock: socket.socket) -> socket.socket:
    with sock:
        return socket.socket(fileno=fcntl.fcntl(sock, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY))


def _hand_over(sock: socket.socket, path: str, command: Sequence[str], env: Mapping[str, str]) -> NoReturn:
    """Have our parent go on with a program, and with the descriptors that exec would keep."""
    kept = [number for number in _open_descriptors() if _is_kept(number)]
    program = {"command": command, "env": dict(env), "folder": os.getcwd(), "path": sys.path, "numbers": kept}
    socket.send_fds(sock, [json.dumps(program).encode()], kept)
    os._exit(0)


def _open_descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _is_kept(number: int) -> bool:
    with contextlib.suppress(OSError):  # the one with which they were listed
        return not fcntl.fcntl(number, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    return False


def _end_as(code: int) -> NoReturn:
    """End as a child did."""
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def _take(program: Program, given: Sequence[int]) -> list[int]:
    """Have those descriptors alone, each under its number; the environment, the folder, and what `ps` shows.

    Returns:
        Those that have no number, out of the way.
    """
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, OUT_OF_THE_WAY) for descriptor in given]
    for descriptor in set(_open_descriptors()).difference(moved):
        with contextlib.suppress(OSError):
            os.close(descriptor)
    for descriptor, number in zip(moved, program.numbers, strict=False):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(program.folder)
    sys.path[:] = program.path
    os.environ.clear()
    os.environ.update(program.env)
    _show(ARGUMENTS, program.command)
    _show(ENVIRONMENT, [f"{name}={value}" for name, value in program.env.items()])
    return moved[len(program.numbers) :]


def _show(where: tuple[int, int], strings: Sequence[str]) -> None:
    """Write over what the kernel shows of this process; nothing else refers to that memory by now."""
    fields = Path("/proc/self/stat").read_bytes().split()  # the name of python has no space
    begin, end = (int(fields[number]) for number in where)
    data = b"".join(os.fsencode(string) + b"\0" for string in strings)
    assert len(data) <= end - begin, f"no room for {strings}"
    ctypes.memset(begin, 0, end - begin)
    ctypes.memmove(begin, data, len(data))


def _run(program: Program) -> NoReturn:
    """Be `python -P -m forktask …`."""
    process.reset_signals()
    words = list(program.command)
    sys.argv = words[words.index("-m") + 1 :]
    sys.orig_argv = words
    code: Any = 0
    try:
        runpy.run_module("forktask", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
