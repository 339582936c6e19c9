"""Applications that are not as the first page of Flask's documentation has it, each under the servers that matter."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from tests.databases import database_url
from tests.process.site import Site, open_site
from tests.servers.conftest import copy_applications
from tests.servers.serving import GTHREAD, PRELOAD, SYNC, UWSGI_THREADS, Server, all_run, assert_clean, finish, serving

CONNECTED = {
    "gunicorn gthread": (*GTHREAD, "connected:app"),
    "gunicorn --preload": (*PRELOAD, "connected:app"),
    "uWSGI": (*UWSGI_THREADS, "--module", "connected:app"),
}


@pytest.mark.parametrize("how", CONNECTED)
def test_no_process_uses_a_database_connection_of_another(tmp_path: Path, how: str) -> None:
    copy_applications(tmp_path)
    with (
        database_url("postgresql", tmp_path) as url,
        open_site(tmp_path, url) as site,
        serving(site, *CONNECTED[how]) as server,
    ):
        server.get("/")  # uWSGI listens before it has imported the application
        before = connections(url)
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        after = connections(url)
        own = {int(port) for port in (tmp_path / "ports").read_text().split()}
        assert own <= after.keys(), "the application's own connections live"
        web, others = holders(server.processes()), holders(detached(server))
        assert web.keys() & others.keys() & after.keys() == set(), "tasks and supervisor have connections of their own"
        shared = {port for port in after if len(web.get(port, ())) > 1 or len(others.get(port, ())) > 1}
        assert {port: after[port] for port in shared} == {port: before[port] for port in shared}, "used by nobody"
        for row in finish(site, *ids):
            assert_clean(row, site, str(site.runtime_dir))
        assert "Traceback" not in server.log.read_text()


def connections(url: str) -> dict[int, datetime]:
    """Return when each connection to a database was used last, by its port on our side."""
    engine = create_engine(url)
    query = "SELECT client_port, query_start FROM pg_stat_activity WHERE datname = current_database()"
    with engine.connect() as connection:
        rows = connection.execute(text(f"{query} AND client_port > 0 AND pid <> pg_backend_pid()"))
        found = {row.client_port: row.query_start for row in rows}
    engine.dispose()
    return found


def detached(server: Server) -> list[psutil.Process]:
    """Return the supervisor and the runners."""
    web = server.processes()
    return [process for process in server.site.processes() if process not in web]


def holders(processes: list[psutil.Process]) -> dict[int, set[int]]:
    """Return the ports of TCP connections with the pids of those that have a descriptor of each."""
    found: dict[int, set[int]] = {}
    for process in processes:
        for connection in process.net_connections("tcp"):
            if connection.raddr:
                found.setdefault(connection.laddr.port, set()).add(process.pid)
    return found


def test_application_and_forktask_share_one_sqlite_file(site: Site) -> None:
    with serving(site, *GTHREAD, "shared_file:app") as server:
        ids = server.start_many(20)
        for row in finish(site, *ids):
            assert_clean(row, site, *(f"{site.folder}/forktask.sqlite{end}" for end in ("", "-wal", "-shm")))
        engine = create_engine(site.url)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT writer, count(*) FROM line GROUP BY writer")).all()
        assert [tuple(row) for row in sorted(rows)] == [("request", 20), ("task", 200)]
        engine.dispose()
        assert "Traceback" not in server.log.read_text()


def test_an_application_that_ignores_the_end_of_children_keeps_none_from_its_supervisor(site: Site) -> None:
    with serving(site, *SYNC, "childless:app") as server:
        ids = server.start_many(5)
        site.until(lambda: all_run(site, 5), "the tasks")
        finish(site, *ids)
        assert "Traceback" not in site.log()


def test_a_thread_that_runs_since_the_import_makes_each_task_a_new_interpreter(site: Site) -> None:
    with serving(site, *GTHREAD, "threaded:app") as server:
        ids = server.start_many(5)
        site.until(lambda: all_run(site, 5), "the tasks")
        runs = site.processes("-m forktask run")
        assert len(runs) == 5
        assert len(site.supervisors()) == 1
        assert server.zombies() == []
        for row in finish(site, *ids):
            assert_clean(row, site)
        assert "threads=agent run after the import" in site.log()
