"""See to the databases of the tests: start, and where they are missing install, what does not answer.

A server that answers is left as it is. One that is installed here, or any with CI=true, is given the
access without password on loopback that the default addresses need. Other addresses come from
TEST_POSTGRESQL_URL, TEST_MARIADB_URL and TEST_REDIS_URL. With CI=true a server that cannot be had is a
failure; elsewhere its tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from urllib.parse import unquote, urlsplit

START_SECONDS = 60
APT = Path(__file__).with_name("apt")
HBA_LINE = "host all postgres 127.0.0.1/32 trust"
MARIADB_ACCESS = """
CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
ALTER USER root@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING '';
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server that tests use."""

    name: str
    variable: str
    default: str
    package: str
    program: str
    """A glob of the server's program: nothing matches where it is not installed."""
    ask: Callable[[str], None]
    """Raises if the server at this address does not answer or does not let us in."""
    start: Callable[[], None]
    """Starts the server, as root; does nothing if it runs."""
    admit: Callable[[], None]
    """Lets the default address in without a password."""

    @property
    def url(self) -> str:
        return os.environ.get(self.variable) or self.default

    def problem(self) -> str:
        """Say why the server cannot be used; empty if it can."""
        try:
            self.ask(self.url)
        except Exception as error:  # each driver has errors of its own
            return str(error).strip().replace("\n", " ") or type(error).__name__
        return ""


def ask_postgresql(url: str) -> None:
    import psycopg

    scheme, rest = url.split("://", 1)
    psycopg.connect(f"{scheme.partition('+')[0]}://{rest}", connect_timeout=3).close()


def ask_mariadb(url: str) -> None:
    import pymysql

    parts = urlsplit(url)
    pymysql.connect(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 3306,
        user=unquote(parts.username or "root"),
        password=unquote(parts.password or ""),
        connect_timeout=3,
    ).close()


def ask_redis(url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 6379), timeout=3) as connection:
        connection.sendall(b"PING\r\n")
        answer = connection.recv(100)
    if not answer.startswith((b"+PONG", b"-NOAUTH")):
        raise ConnectionError(f"answers {answer!r}")


def start_postgresql() -> None:
    # Exit 2: it runs already.
    pg_ctlcluster("start", check=False)


def admit_postgresql() -> None:
    hba = Path(f"/etc/postgresql/{postgresql_version()}/main/pg_hba.conf")
    text = hba.read_text()
    if HBA_LINE not in text.splitlines():
        hba.write_text(f"{HBA_LINE}\n{text}")
    pg_ctlcluster("reload")


def pg_ctlcluster(verb: str, *, check: bool = True) -> None:
    run("pg_ctlcluster", "--skip-systemctl-redirect", postgresql_version(), "main", verb, check=check)


def postgresql_version() -> str:
    versions = sorted((folder.parent.name for folder in Path("/etc/postgresql").glob("*/main")), key=float)
    if not versions:
        raise RuntimeError("there is no cluster in /etc/postgresql")
    return versions[-1]


def start_mariadb() -> None:
    folder = Path("/run/mysqld")
    folder.mkdir(exist_ok=True)
    shutil.chown(folder, "mysql", "mysql")
    run(
        *("start-stop-daemon", "--start", "--oknodo", "--background", "--exec", "/usr/sbin/mariadbd"),
        *("--", "--user=mysql", "--bind-address=127.0.0.1"),
    )
    wait_for(lambda: run("mariadb-admin", "ping", check=False) == 0)


def admit_mariadb() -> None:
    run("mariadb", "--execute", MARIADB_ACCESS)


def start_redis() -> None:
    run("redis-server", "--daemonize", "yes", "--bind", "127.0.0.1", "--save", "", "--dir", "/tmp")


def run(*command: str, check: bool = True) -> int:
    """Run `command`, silent unless it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} ended with {done.returncode}: {done.stderr.strip()}")
    return done.returncode


def wait_for(done: Callable[[], bool]) -> bool:
    """Wait for `done()`, START_SECONDS at most; return what it said last."""
    end = time.monotonic() + START_SECONDS
    while not (last := done()) and time.monotonic() < end:
        time.sleep(0.2)
    return last


SERVICES = (
    Service(
        name="PostgreSQL",
        variable="TEST_POSTGRESQL_URL",
        default="postgresql://postgres@127.0.0.1:5432/postgres",
        package="postgresql",
        program="/usr/lib/postgresql/*/bin/postgres",
        ask=ask_postgresql,
        start=start_postgresql,
        admit=admit_postgresql,
    ),
    Service(
        name="MariaDB",
        variable="TEST_MARIADB_URL",
        default="mysql://root@127.0.0.1:3306/",
        package="mariadb-server",
        program="/usr/sbin/mariadbd",
        ask=ask_mariadb,
        start=start_mariadb,
        admit=admit_mariadb,
    ),
    Service(
        name="Redis",
        variable="TEST_REDIS_URL",
        default="redis://127.0.0.1:6379/0",
        package="redis-server",
        program="/usr/bin/redis-server",
        ask=ask_redis,
        start=start_redis,
        admit=lambda: None,
    ),
)


def bring_up(service: Service) -> None:
    """Install and start `service`; let the tests in where nobody else can be meant."""
    ours = os.environ.get("CI") == "true"
    if not glob(service.program):
        print(f"Installing {service.name} for the tests.", file=sys.stderr)
        run(str(APT), service.package)
        ours = True
    if not listens(service.url):
        service.start()
        wait_for(lambda: listens(service.url))
    if ours and service.problem():
        service.admit()
        wait_for(lambda: not service.problem())


def listens(url: str) -> bool:
    """Return True if something accepts connections there."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=3).close()
    except OSError:
        return False
    return True


def see_to(service: Service) -> bool:
    """Make `service` answer if that is in our power; return whether it does."""
    problem = service.problem()
    if problem and service.url == service.default:
        try:
            bring_up(service)
            problem = service.problem()
        except (OSError, RuntimeError) as error:
            problem = f"{problem}; {error}"
    if problem:
        print(f"{service.name} at {service.url}: {problem}", file=sys.stderr)
    return not problem


def main() -> int:
    """See to all of them; return the exit code."""
    if os.geteuid() != 0 and any(service.problem() for service in SERVICES) and may_be_root():
        names = ",".join(["CI", *(service.variable for service in SERVICES)])
        return subprocess.call(["sudo", "-n", f"--preserve-env={names}", sys.executable, __file__])
    missing = ", ".join(service.name for service in SERVICES if not see_to(service))
    if missing and os.environ.get("CI") == "true":
        print(f"CI=true, and no {missing}.", file=sys.stderr)
        return 1
    if missing:
        print(f"Tests that need {missing} are skipped.", file=sys.stderr)
    return 0


def may_be_root() -> bool:
    """Return True if sudo asks for no password."""
    return shutil.which("sudo") is not None and run("sudo", "-n", "true", check=False) == 0


if __name__ == "__main__":
    sys.exit(main())
