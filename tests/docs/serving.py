"""A folder with an application from the documents, served for real."""

from __future__ import annotations

import http.cookiejar
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Self

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


class Folder:
    """What a reader has on disk after following a page, and a short runtime directory for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "FORKTASK_RUNTIME_DIR": str(path / "run"),
            "FORKTASK_IDLE_EXIT": "0.5",
        }

    def write(self, name: str, text: str) -> None:
        """Write one file."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, *command: str, **more: str) -> str:
        """Run a Python program in the folder to its end; return what it printed."""
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.path,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class Server:
    """A web server under test; a context manager."""

    def __init__(self, folder: Folder, *command: str) -> None:
        self.log = folder.path / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command], cwd=folder.path, env=folder.environ, stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    @property
    def url(self) -> str:
        """Where it listens, as its log says."""
        return wait_until(self._address, 30, f"an address in {self.log}")

    def _address(self) -> str:
        text = self.log.read_text()
        assert self.process.poll() is None, text
        found = re.search(r"http://127\.0\.0\.1:[1-9]\d*", text)
        return found[0] if found else ""


class Browser:
    """Keeps cookies and follows redirects."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), urllib.request.ProxyHandler({})
        )

    def get(self, path: str, **headers: str) -> str:
        """Return the body of a page."""
        return self._open(urllib.request.Request(self.url + path, headers=headers))

    def post(self, path: str) -> str:
        """Send an empty form; return the body of the page to which it leads."""
        return self._open(urllib.request.Request(self.url + path, data=b"", method="POST"))

    def _open(self, request: urllib.request.Request) -> str:
        with self._opener.open(request, timeout=30) as response:
            body: bytes = response.read()
        return body.decode()
