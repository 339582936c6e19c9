"""Web servers, each started for real with an application of `tests/zoo_servers`, and what a test asks of them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from forktask import State
from forktask.rows import StatusRow
from tests.docs.pages import rows
from tests.process.site import ROOT, Site
from tests.waiting import wait_until

BIN = Path(sys.executable).parent
ZOO = ROOT / "tests" / "zoo_servers"

PLACE = re.compile(r" (--module )?mysite:app$")
RECIPES = dict(rows("docs/operations.md", "Web servers"))
"""The command lines that the documents advise, by server."""


def recipe(server: str) -> tuple[str, ...]:
    """Return the command line of a server, on any port; without its application if that stands at the end."""
    line = PLACE.sub("", RECIPES[server]).replace("127.0.0.1:8000", "127.0.0.1:0").replace("--port 8000", "--port 0")
    program, *words = shlex.split(line.replace("mysite", "plain"))
    return (str(BIN / program), *words)


FLASK = recipe("development server")
FLASK_RELOADER = recipe("development server, reloader")
SYNC = recipe("gunicorn")
GTHREAD = recipe("gunicorn, threads")
GEVENT = recipe("gunicorn, gevent")
PRELOAD = recipe("gunicorn, preload")
UWSGI = recipe("uWSGI")
UWSGI_THREADS = recipe("uWSGI, threads")
UWSGI_FILE = recipe("uWSGI, file")
WAITRESS = recipe("waitress")

ADDRESS = re.compile(r"127\.0\.0\.1:([1-9]\d*)")


class Server:
    """A web server of a site."""

    def __init__(self, site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
        self.site = site
        self.process = process
        self.log = log
        self.port = wait_until(self._answers, timeout=60, what=f"a server\n{log}")

    def _answers(self) -> int:
        """Return the port as soon as somebody accepts there."""
        assert self.process.poll() is None, self.log.read_text()
        found = ADDRESS.search(self.log.read_text())
        if found is None:
            return 0
        with socket.socket() as one:
            return int(found[1]) if one.connect_ex(("127.0.0.1", int(found[1]))) == 0 else 0

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
            return json.load(answer)

    def start_many(self, count: int) -> list[str]:
        """Start tasks by requests at the same time; return their ids."""
        with ThreadPoolExecutor(count) as pool:
            return [answer["id"] for answer in pool.map(self.get, ["/start"] * count)]

    def processes(self) -> list[psutil.Process]:
        """Return the server's processes: what descends from the one that was started."""
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def zombies(self) -> list[psutil.Process]:
        return [process for process in self.processes() if process.status() == psutil.STATUS_ZOMBIE]

    def kill(self) -> None:
        """SIGKILL all of it at once."""
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it as a service manager does."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)


@contextmanager
def serving(site: Site, *command: str, name: str = "server", **more: str) -> Iterator[Server]:
    """Yield a server of the site; stop it afterwards."""
    refuse_missing(command[0])
    log = site.folder / f"{name}.log"
    with log.open("wb") as output:
        environ = {
            **site.environ,
            "PYTHONDONTWRITEBYTECODE": "1",
            "FORKTASK_MAX_RUNNING": "30",
            "FORKTASK_IDLE_EXIT": "1",
            **more,
        }
        process = subprocess.Popen(command, cwd=site.folder, env=environ, stdout=output, stderr=output)
    try:
        server = Server(site, process, log)
        yield server
        server.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def refuse_missing(program: str) -> None:
    """Skip the test where a server could not be built; with CI=true that is a failure."""
    if shutil.which(program) is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{program} is not there")
    pytest.skip(f"{program} is not there: `make test` builds it where there is a compiler")


def all_run(site: Site, count: int) -> bool:
    return [row.message for row in site.rows()] == ["runs"] * count


def is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        one.listen()
        return True


def finish(site: Site, *status_ids: str) -> list[StatusRow]:
    """Let the tasks end; return their rows."""
    (site.folder / "go").touch()
    ended = site.until_final(*status_ids)
    assert {row.state for row in ended} == {State.COMPLETED}, [(row.state, row.error) for row in ended]
    return ended


def stop_and_finish(server: Server, *status_ids: str) -> None:
    """Stop a server; see that it leaves its port, and its tasks, which then end."""
    site = server.site
    server.stop()
    site.until(lambda: is_free(server.port), "a free port")
    assert {site.row(each).state for each in status_ids} == {State.RUNNING}
    finish(site, *status_ids)


def assert_clean(row: StatusRow, site: Site, *own: str) -> None:
    """See that nothing of the web process reached the runner; `own` is what the application opened there."""
    found = row.result
    assert found["open"].count("socket") == 1, "the channel to its supervisor"
    assert set(found["open"]) <= {"socket", "pipe", "/dev/null", "/dev/urandom", *own}, found["open"]
    assert found["signals"] == []
    assert found["request"] is False
    assert found["folder"] == str(site.folder)
    of_server = re.compile(r"WERKZEUG|GUNICORN|UWSGI|SERVER_SOFTWARE|FLASK_RUN")
    assert [name for name in found["environ"] if of_server.match(name)] == []
