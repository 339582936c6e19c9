"""A real server for the browser tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Return the processes that run there."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd() == str(folder):
                found.append(process)
    return found


class Server:
    """gunicorn with threads, on a free port of the loopback interface.

    Args:
        target: `module:attribute`.
        folder: Where it runs; its log is written there.
    """

    def __init__(self, target: str, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.target = target
        self.folder = folder
        self.log = folder / "server.log"
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, again on the same port if it ran before."""
        command = [sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--threads", "8", "--workers", "2"]
        command += ["--bind", f"127.0.0.1:{self.port}", "--access-logfile", "-", "--graceful-timeout", "1", self.target]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "FORKTASK_IDLE_EXIT": "0.5",
            **self._environment,
        }
        begin = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=log, stderr=log)
        found = wait_until(lambda: self._listening(begin), 60, "the server to listen")
        self.port = int(found)

    def stop(self) -> None:
        """End it, at once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def wait_for_tasks(self) -> None:
        """Wait until everything that was started in the folder has ended: tasks outlive the server."""
        wait_until(lambda: not processes_in(self.folder), 60, f"the tasks in {self.folder} to end")

    def requests(self, pattern: str) -> list[str]:
        """Return the lines of the access log that match."""
        return [line for line in self.log.read_text().splitlines() if re.search(pattern, line)]

    def _listening(self, begin: int) -> str:
        assert self._process is not None
        text = self.log.read_text()[begin:]
        assert self._process.poll() is None, text
        ports = re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", text) if "Booting worker" in text else []
        return ports[0] if ports else ""


@contextmanager
def served(target: str, folder: Path, **environment: str) -> Iterator[Server]:
    """Yield a server that runs; afterwards it is ended, and its tasks are waited for."""
    server = Server(target, folder, environment)
    server.start()
    try:
        yield server
    finally:
        server.stop()
    server.wait_for_tasks()
