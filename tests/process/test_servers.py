"""Under each server, for real: twenty tasks at once, one supervisor, nothing of the server in them, nothing left."""

from __future__ import annotations

import json
import re
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
from sqlalchemy import create_engine, text

from forktask import State
from forktask.rows import StatusRow
from tests.databases import database_url
from tests.process.site import ROOT, Site, open_site
from tests.waiting import wait_until

BIN = Path(sys.executable).parent
ZOO = ROOT / "tests" / "zoo_servers"
GUNICORN = [str(BIN / "gunicorn"), "--bind", "127.0.0.1:0", "--workers", "2", "--threads", "4"]
FLASK = [str(BIN / "flask"), "--app", "plain", "run", "--port", "0"]

SERVERS = {
    "the development server": (FLASK, "plain.OwnTask"),
    "the development server with its reloader": ([*FLASK, "--debug"], "plain.OwnTask"),
    "a script": ([sys.executable, "plain.py"], "plain.OwnTask"),
    "a script whose name is no identifier": ([sys.executable, "my-app.py"], "my-app.OwnTask"),
    "gunicorn": ([*GUNICORN, "plain:app"], "plain.OwnTask"),
    "gunicorn --preload": ([*GUNICORN, "--preload", "plain:app"], "plain.OwnTask"),
    "gunicorn with a factory": ([*GUNICORN, "factory:create_app()"], "factory.FactoryTask"),
    "gunicorn with middleware around a factory": ([*GUNICORN, "proxied:application"], "factory.FactoryTask"),
}


class Server:
    """A web server of a site."""

    def __init__(self, site: Site, process: subprocess.Popen[bytes], log: Path) -> None:
        self.site = site
        self.process = process
        self.log = log
        wait_until(self._port, timeout=60, what=f"a server\n{log}")
        self.port = self._port()

    def _port(self) -> int:
        assert self.process.poll() is None, self.log.read_text()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text())
        return int(found[1]) if found else 0

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
    log = site.folder / f"{name}.log"
    with log.open("wb") as output:
        environ = {**site.environ, "PYTHONDONTWRITEBYTECODE": "1", "FORKTASK_MAX_RUNNING": "30", **more}
        process = subprocess.Popen(command, cwd=site.folder, env=environ, stdout=output, stderr=output)
    try:
        server = Server(site, process, log)
        yield server
        server.stop()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        copy_applications(tmp_path)
        yield site


def copy_applications(folder: Path) -> None:
    for file in ZOO.glob("*.py"):
        shutil.copy(file, folder)
    shutil.copy(ZOO / "plain.py", folder / "my-app.py")


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


def assert_clean(row: StatusRow, site: Site) -> None:
    """See that nothing of the web process reached the runner."""
    found = row.result
    assert found["open"].count("socket") == 1, "the channel to its supervisor"
    assert set(found["open"]) <= {"socket", "pipe", "/dev/null", "/dev/urandom"}, found["open"]
    assert found["signals"] == []
    assert found["request"] is False
    assert found["folder"] == str(site.folder)
    assert [name for name in found["environ"] if re.match(r"WERKZEUG|GUNICORN|SERVER_SOFTWARE|FLASK_RUN", name)] == []


@pytest.mark.parametrize("how", SERVERS)
def test_twenty_tasks_at_once_survive_the_sigkill_of_their_server(site: Site, how: str) -> None:
    command, name = SERVERS[how]
    with serving(site, *command) as server:
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        assert len(site.supervisors()) == 1
        assert [process for process in server.processes() if process.status() == psutil.STATUS_ZOMBIE] == []
        assert {server.get(f"/state/{each}") for each in ids} == {State.RUNNING}
        server.kill()
    site.until(lambda: is_free(server.port), "a free port: its workers are reaped by somebody else")
    assert {row.state for row in site.rows()} == {State.RUNNING}
    (site.folder / "go").touch()
    rows = site.until_final(*ids)
    assert [(row.state, row.task) for row in rows] == [(State.COMPLETED, name)] * 20
    for row in rows:
        assert_clean(row, site)
    site.until(lambda: not site.processes(), "the supervisor to leave by itself")


@pytest.mark.parametrize("how", ["the development server", "gunicorn"])
def test_a_server_that_is_stopped_leaves_its_port_and_its_tasks(site: Site, how: str) -> None:
    with serving(site, *SERVERS[how][0]) as server:
        (status_id,) = server.start_many(1)
        site.until(lambda: all_run(site, 1), "the task")
        server.stop()
        assert is_free(server.port)
        assert site.row(status_id).state is State.RUNNING
        (site.folder / "go").touch()
        assert site.until_final(status_id)[0].state is State.COMPLETED


def test_the_first_initiate_is_answered_before_the_supervisor_has_imported_anything(site: Site) -> None:
    (site.folder / "slow").touch()
    (site.folder / "go").touch()
    with serving(site, *SERVERS["gunicorn"][0]) as server:
        answers = [server.get("/start") for _ in range(5)]
        assert {answer["state"] for answer in answers} == {State.QUEUED}
        assert {row.state for row in site.rows()} == {State.QUEUED}
        (site.folder / "imported").touch()
        rows = site.until_final()
    assert [row.state for row in rows] == [State.COMPLETED] * 5


def test_old_tasks_end_on_old_code_and_new_ones_begin_on_new_code(site: Site) -> None:
    command = SERVERS["gunicorn"][0]
    more = {"FORKTASK_IDLE_EXIT": "120"}
    with serving(site, *command, **more) as before:
        (old,) = before.start_many(1)
        site.until(lambda: all_run(site, 1), "the task on old code")
        (old_supervisor,) = site.supervisors()
        code = (ZOO / "plain.py").read_text()
        (site.folder / "plain.py").write_text(code.replace('code = "old"', 'code = "new"'))
        with serving(site, *command, name="second", **more) as after:
            new = after.start_many(10)
            site.until(lambda: all_run(site, 11), "the tasks on new code")
            (late,) = before.start_many(1)
            site.until(lambda: all_run(site, 12), "a task of the server that still has old code")
            before.stop()
            (site.folder / "go").touch()
            rows = {str(row.id): row for row in site.until_final()}
            site.until(lambda: not old_supervisor.is_running(), "the old supervisor to leave")
            assert len(site.supervisors()) == 1
    assert [rows[each].result["code"] for each in new] == ["new"] * 10
    assert (rows[old].result["code"], rows[late].result["code"]) == ("old", "old")


def test_connections_that_were_open_before_gunicorn_forked_stay_whole(tmp_path: Path) -> None:
    copy_applications(tmp_path)
    (tmp_path / "go").touch()
    with (
        database_url("postgresql", tmp_path) as url,
        open_site(tmp_path, url) as site,
        serving(site, *GUNICORN, "--preload", "connected:app") as server,
    ):
        ids = server.start_many(20)
        rows = site.until_final(*ids)
        assert [row.state for row in rows] == [State.COMPLETED] * 20
        engine = create_engine(url)
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
            alive = connection.scalar(query, {"pid": int((tmp_path / "backend").read_text())})
        engine.dispose()
        assert alive == 1
        assert "Traceback" not in server.log.read_text()
