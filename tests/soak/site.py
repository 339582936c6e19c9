"""A site: a gunicorn server with the application of the soak, in a folder of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.ports import bound
from tests.soak.database import Database
from tests.soak.journal import VARIABLE
from tests.soak.processes import WHERE, Process, read
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MARK = "SOAK_SITE"
MAX_RUNNING = 12
WORKERS = 2
ARGUMENTS = ["--worker-class", "gthread", "--threads", "4", "--graceful-timeout", "3", "--timeout", "120"]


@dataclass(frozen=True)
class Answer:
    """What the web server said; code 0: it could not be reached."""

    code: int
    text: str
    value: dict[str, Any] = field(default_factory=dict)


class Site:
    """Everything of one site that the soak starts itself."""

    def __init__(self, folder: Path, database: Database) -> None:
        self.folder = folder
        self.database = database
        self.mark = uuid.uuid4().hex
        self.release = 0
        self._claim = bound(0)
        self.port: int = self._claim.getsockname()[1]
        self.server: subprocess.Popen[bytes] | None = None
        self.folders = {name: folder / name for name in ("journal", "run", "temp", "site")}
        for path in self.folders.values():
            path.mkdir(mode=0o700)
        shutil.copy(Path(__file__).with_name("application.py"), self.folders["site"] / "shop.py")
        self.deploy()
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(self.folders["temp"]),
            MARK: self.mark,
            VARIABLE: str(self.folders["journal"]),
            "FORKTASK_DATABASE_URL": database.url,
            "FORKTASK_RUNTIME_DIR": str(self.folders["run"]),
            "FORKTASK_MAX_RUNNING": str(MAX_RUNNING),
            "FORKTASK_IDLE_EXIT": "3",
            "FORKTASK_STOP_TIMEOUT": "1",
            "FORKTASK_HEARTBEAT_INTERVAL": "1",
            "FORKTASK_LOG_LIMIT": "65536",
        }

    @property
    def log(self) -> Path:
        return self.folder / "web.log"

    def deploy(self) -> None:
        """Change the code; a web server that is started or reloaded later has the new one."""
        self.release += 1
        part = self.folders["site"] / "release.py.new"
        part.write_text(f"NUMBER = {self.release}\n")
        part.rename(self.folders["site"] / "release.py")

    def start(self) -> None:
        """Start the web server, and wait until it answers; what a killed one left may hold the port for a moment."""
        wait_until(self._answers, timeout=180, what=f"the web server; see {self.log}")

    def _answers(self) -> bool:
        if self.server is None or self.server.poll() is not None:
            command = [str(Path(sys.executable).with_name("gunicorn")), "--bind", f"127.0.0.1:{self.port}"]
            with self.log.open("ab") as log:
                self.server = subprocess.Popen(
                    [*command, "--workers", str(WORKERS), *ARGUMENTS, "shop:app"],
                    cwd=self.folders["site"],
                    env=self.environ,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        return self.ask(f"/status/{uuid.uuid4()}").code == 404

    def workers(self) -> list[Process]:
        """Return the worker processes of the server, the oldest first."""
        if self.server is None:
            return []
        with suppress(psutil.Error):
            found = (read(child.pid) for child in psutil.Process(self.server.pid).children())
            return sorted((seen.process for seen in found if seen), key=lambda one: (one.ticks, one.pid))
        return []

    def stop(self) -> None:
        """End the web server as a service manager does."""
        if self.server is not None:
            self.server.send_signal(signal.SIGTERM)
            self.server.wait(timeout=120)

    def ask(self, path: str, body: Any = None, timeout: float = 60) -> Answer:
        """Ask the web server; a body makes it a POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data)
        request.add_header("Content-Type", "application/json")
        try:
            return answered(request, timeout)
        except Exception as error:  # http.client has errors of its own for a server that is killed in mid-answer
            return Answer(0, repr(error))

    def tell_where(self) -> None:
        """Have the workers write where they stand, for whoever asks why there was no answer."""
        for worker in self.workers():
            with suppress(ProcessLookupError):
                os.kill(worker.pid, WHERE)

    def supervisor_log(self) -> str:
        """Return what all supervisors logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folders["run"].glob("*.log")))

    def excerpt(self, about: str) -> list[str]:
        """Return lines of the logs about one status or process."""
        text = self.supervisor_log() + self.log.read_text(errors="replace")
        return [line for line in text.splitlines() if re.search(rf"\b{re.escape(about)}\b", line)][-30:]


def answered(request: urllib.request.Request, timeout: float) -> Answer:
    """Return the answer, whatever its code."""
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read().decode()
            return Answer(answer.status, text, json.loads(text) if text.startswith("{") else {})
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode(errors="replace"))
