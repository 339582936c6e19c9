"""A PostgreSQL cluster of our own: made by initdb on a free port, stopped, killed and started at will."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import subprocess
from contextlib import suppress
from glob import glob
from pathlib import Path
from tempfile import mkdtemp

import psutil
import psycopg

from tests.ports import bound
from tests.waiting import wait_until

PROGRAMS = "/usr/lib/postgresql/*/bin"
STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill": signal.SIGKILL}
"""What the server's first process takes each as (postgres(1))."""
CONFIGURATION = """
fsync = off
max_wal_size = 128MB
min_wal_size = 32MB
shared_buffers = 16MB
max_connections = 200
listen_addresses = '127.0.0.1'
"""
"""Without fsync nothing is lost but by a power cut, which this is no test of."""


class Cluster:
    """One server; as root it runs as the user `postgres`, for it refuses to be root."""

    def __init__(self) -> None:
        # Not in a folder of the caller's, which its user may not enter.
        self._home = Path(mkdtemp(prefix="forktask-soak-"))
        self._home.chmod(0o711)
        self.folder = self._home / "data"
        self.log = self._home / "server.log"
        self.user = "postgres"
        self._owner = "postgres" if os.geteuid() == 0 else getpass.getuser()
        self._claim = bound(0)
        self.port: int = self._claim.getsockname()[1]
        self._server: subprocess.Popen[bytes] | None = None
        self.folder.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self.folder, self._owner)
        subprocess.run(
            [*self._as_owner(), self._program("initdb"), "-A", "trust", "-U", self.user, "-N", "-D", str(self.folder)],
            check=True,
            capture_output=True,
            cwd="/",
        )
        with (self.folder / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIGURATION}\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        self.start()

    def _as_owner(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        record = pwd.getpwnam(self._owner)
        return ["setpriv", "--reuid", str(record.pw_uid), "--regid", str(record.pw_gid), "--clear-groups"]

    @staticmethod
    def _program(name: str) -> str:
        return f"{max(glob(PROGRAMS), key=lambda path: float(path.split('/')[4]))}/{name}"

    def start(self) -> None:
        """Start it, and wait until it answers; what a killed one left keeps it waiting for a moment."""
        wait_until(self._answers, timeout=120, what=f"PostgreSQL; see {self.log}")

    def _answers(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            with self.log.open("ab") as log:
                self._server = subprocess.Popen(
                    [*self._as_owner(), self._program("postgres"), "-D", str(self.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                )
        with suppress(psycopg.OperationalError):
            psycopg.connect(f"postgresql://{self.user}@127.0.0.1:{self.port}/postgres", connect_timeout=5).close()
            return True
        return False

    def stop(self, way: str) -> None:
        """Stop it in one of the ways of STOPS, and wait until it has ended."""
        if self._server is not None:
            self._server.send_signal(STOPS[way])
            self._server.wait(timeout=120)
            self._server = None

    def processes(self) -> list[int]:
        """Return the pids of the server's processes."""
        if self._server is None:
            return []
        return [one.pid for one in psutil.Process(self._server.pid).children(recursive=True)]

    def wal_size(self) -> int:
        """Return the bytes of its write-ahead log."""
        return sum(path.stat().st_size for path in (self.folder / "pg_wal").glob("0*"))

    def remove(self) -> None:
        """End it, and leave nothing of it."""
        self.stop("immediate")
        self._claim.close()
        shutil.rmtree(self._home, ignore_errors=True)
