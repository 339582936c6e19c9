"""A real server for the browser tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


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
        found = wait_until(lambda: self._listening(begin), 30, "the server to listen")
        self.port = int(found[1])

    def stop(self) -> None:
        """End it, at once."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def requests(self, pattern: str) -> list[str]:
        """Return the lines of the access log that match."""
        return [line for line in self.log.read_text().splitlines() if re.search(pattern, line)]

    def _listening(self, begin: int) -> re.Match[str] | None:
        assert self._process is not None
        text = self.log.read_text()[begin:]
        assert self._process.poll() is None, text
        return re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", text) if "Booting worker" in text else None
