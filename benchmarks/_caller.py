"""One web process that starts tasks by one means when it is told to: `python _caller.py MEANS BYTES FOLDER`.

Each means has a process of its own, so that none pays for what another leaves behind: a fork, for one, makes each
page that the parent writes afterwards cost two microseconds.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import _peers
import _runtimes
from _application import first_line
from _clock import Ear, tell
from _timing import IDLE, clean_up_when_told_to_end


@contextmanager
def forktask(kind: str, folder: str) -> Iterator[_peers.Start]:
    """Yield what starts a task with the row in such a database."""
    with _runtimes.database(kind, Path(folder)) as url, _runtimes.runtime(url, Path(folder)) as runtime:
        _runtimes.use(runtime)
        yield lambda address: partial(first_line.initiate({"address": address}).wait, 30)


@contextmanager
def of_multiprocessing(method: str, folder: str) -> Iterator[_peers.Start]:
    """Yield what starts a process so."""

    def start(address: str) -> partial[object]:
        context: Any = multiprocessing.get_context(method)
        process = context.Process(target=tell, args=(address,))
        process.start()
        return partial(process.join)

    yield start


MEANS: dict[str, Callable[[str], Any]] = {
    **{f"forktask, {kind}": partial(forktask, kind) for kind in _runtimes.KINDS},
    **_peers.STARTS,
    **{f"multiprocessing {name}": partial(of_multiprocessing, name) for name in ("fork", "forkserver", "spawn")},
}


def serve(means: str, size: int, folder: str) -> None:
    """Start a task for each line that is read; print seconds blocked and until the first line."""
    ear = Ear(f"{folder}/ear")
    ballast = bytearray(size)
    ballast[::4096] = b"x" * len(ballast[::4096])
    with MEANS[means](folder) as start:
        print("ready", flush=True)
        for _ in sys.stdin:
            time.sleep(IDLE)
            begin = time.monotonic()
            finish = start(ear.address)
            blocked = time.monotonic() - begin
            first = ear.hear() - begin
            if isinstance(finish, partial):
                finish()  # so that nothing of it runs when the next one starts
            print(blocked, first, flush=True)
    ear.close()


class Caller:
    """Such a process, from outside."""

    def __init__(self, means: str, folder: Path, size: int = 0) -> None:
        folder.mkdir()
        self._process = subprocess.Popen(
            [sys.executable, __file__, means, str(size), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.is_there = self._read() == "ready\n"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def start(self) -> tuple[float, float]:
        """Have it start one task; return seconds blocked, and until the first line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        blocked, first = self._read().split()
        return float(blocked), float(first)

    def close(self) -> None:
        """Let it end, and its workers."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


if __name__ == "__main__":
    clean_up_when_told_to_end()
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
