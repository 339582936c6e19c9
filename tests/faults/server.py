"""A PostgreSQL server of a test's own, to be killed, stopped and started at will."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from sqlalchemy import URL
from sqlalchemy.exc import OperationalError

from tests.databases import order
from tests.ports import claimed_port
from tests.waiting import wait_until

USER = "postgres"
PATIENCE = 60.0
QUICK = ["fsync=off", "shared_buffers=16MB", "max_connections=40", "listen_addresses=127.0.0.1"]


def program(name: str) -> str:
    """Return where a program of PostgreSQL is; skip the test where it is not installed, with CI=true fail it."""
    found = shutil.which(name) or next(iter(sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if found is None:
        missing = f"there is no {name}: PostgreSQL is not installed here"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


class OwnServer:
    """A server on a port of its own, run by an ordinary user; it begins stopped."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.data = folder / "data"
        # The environment of now: without the mark of a test in which it is started again.
        self._how: dict[str, Any] = {"cwd": "/", "env": dict(os.environ)}
        if os.geteuid() == 0:  # as whom PostgreSQL refuses to run
            self._how |= {"user": USER, "group": USER, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        command = [program("initdb"), "-D", str(self.data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._how)

    @property
    def url(self) -> URL:
        """The server's own database."""
        return URL.create("postgresql+psycopg", USER, host="127.0.0.1", port=self.port, database="postgres")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [word for option in (*QUICK, f"unix_socket_directories={self.folder}") for word in ("-c", option)]
        command = [program("postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen[bytes](command, stdout=log, stderr=log, **self._how)
        wait_until(self._answers, PATIENCE, "the server to answer")

    def _answers(self) -> bool:
        try:
            order(self.url, "SELECT 1")
        except OperationalError:
            assert self._process is not None and self._process.poll() is None, (self.folder / "log").read_text()
            return False
        return True

    def crash(self) -> None:
        """End it at once, in the midst of everything."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)
        self._process = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop all its processes, as a machine that swaps; connections stay open."""
        assert self._process is not None
        stopped = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children()]
        for one in stopped:
            one.suspend()
        try:
            yield
        finally:
            for one in stopped:
                with suppress(psutil.Error):
                    one.resume()

    @contextmanager
    def database(self, tablespace: str = "pg_default") -> Iterator[str]:
        """Yield the URL of an empty database."""
        name = f"test_{uuid4().hex[:8]}"
        order(self.url, f"CREATE DATABASE {name} TABLESPACE {tablespace}")
        yield self.url.set(database=name).render_as_string(hide_password=False)
        order(self.url, f"DROP DATABASE {name} WITH (FORCE)")

    def end(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self.crash()


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Yield a server that runs; nothing is left of it."""
    folder = Path(tempfile.mkdtemp(prefix="forktask-postgresql-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER, USER)
        with claimed_port() as port:
            server = OwnServer(folder, port)
            try:
                server.start()
                yield server
            finally:
                server.end()
    finally:
        shutil.rmtree(folder)


@contextmanager
def small_disk(folder: Path, megabytes: int, owner: str | None = None) -> Iterator[Path]:
    """Yield a file system of that size; skip the test where it cannot be mounted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "forktask-test", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    try:
        if owner is not None:
            shutil.chown(folder, owner, owner)
        yield folder
    finally:
        wait_until(lambda: unmounted(folder), PATIENCE, "the end of the file system")


def unmounted(folder: Path) -> bool:
    """Return False while something on it is open."""
    return subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode == 0


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Leave no room at all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()
