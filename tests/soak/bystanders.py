"""Processes that have nothing to do with it, and would tell if anybody signalled them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until

COUNT = 3
SOURCE = """
import os, select, signal, sys
def heard(number, frame):
    with open(sys.argv[1], "a") as file:
        file.write(f"signal {number} ")
for number in set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, heard)
open(sys.argv[1], "w").close()
while os.getppid() == int(sys.argv[2]):
    select.select((), (), (), 1)
"""


class Strangers:
    """Some of them, each a leader of its session, as runners are."""

    def __init__(self, folder: Path) -> None:
        self._files = [folder / f"bystander-{number}" for number in range(COUNT)]
        self._processes = [
            subprocess.Popen([sys.executable, "-c", SOURCE, str(file), str(os.getpid())], start_new_session=True)
            for file in self._files
        ]
        wait_until(lambda: all(file.exists() for file in self._files), timeout=120, what="the bystanders")

    def heard(self) -> dict[int, str]:
        """Return what each has heard, by its pid; empty for nothing."""
        return {
            process.pid: file.read_text() + ("" if process.poll() is None else f"ended with {process.returncode}")
            for process, file in zip(self._processes, self._files, strict=True)
        }

    def end(self) -> None:
        """End them."""
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait()
