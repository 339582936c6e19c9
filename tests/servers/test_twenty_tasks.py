"""Under each server, for real: twenty tasks at once, one supervisor, nothing of the server in them, nothing left."""

from __future__ import annotations

import sys

import pytest

from forktask import State
from tests.process.site import Site
from tests.servers.serving import (
    FLASK,
    FLASK_RELOADER,
    GEVENT,
    GTHREAD,
    PRELOAD,
    SYNC,
    UWSGI,
    UWSGI_FILE,
    UWSGI_THREADS,
    WAITRESS,
    all_run,
    assert_clean,
    finish,
    is_free,
    serving,
    stop_and_finish,
)

SERVERS = {
    "the development server": (FLASK, "plain.OwnTask"),
    "the development server with its reloader": (FLASK_RELOADER, "plain.OwnTask"),
    "a script": ((sys.executable, "plain.py"), "plain.OwnTask"),
    "a script whose name is no identifier": ((sys.executable, "my-app.py"), "my-app.OwnTask"),
    "gunicorn sync": ((*SYNC, "plain:app"), "plain.OwnTask"),
    "gunicorn gthread": ((*GTHREAD, "plain:app"), "plain.OwnTask"),
    "gunicorn gevent": ((*GEVENT, "plain:app"), "plain.OwnTask"),
    "gunicorn gevent --preload": ((*GEVENT, "--preload", "plain:app"), "plain.OwnTask"),
    "gunicorn --preload": ((*PRELOAD, "plain:app"), "plain.OwnTask"),
    "gunicorn with a factory": ((*GTHREAD, "factory:create_app()"), "factory.FactoryTask"),
    "gunicorn with middleware around a factory": ((*GTHREAD, "proxied:application"), "factory.FactoryTask"),
    "uWSGI": ((*UWSGI, "--module", "plain:app"), "plain.OwnTask"),
    "uWSGI with threads": ((*UWSGI_THREADS, "--module", "plain:app"), "plain.OwnTask"),
    "uWSGI with threads --lazy-apps": ((*UWSGI_THREADS, "--lazy-apps", "--module", "plain:app"), "plain.OwnTask"),
    "uWSGI --wsgi-file": (UWSGI_FILE, "plain.OwnTask"),
    "uWSGI --wsgi-file with a factory": ((*UWSGI_THREADS, "--wsgi-file", "proxied.py"), "factory.FactoryTask"),
    "uWSGI --wsgi-file --lazy-apps": (
        (*UWSGI_THREADS, "--lazy-apps", "--wsgi-file", "my-app.py", "--callable", "app"),
        "my-app.OwnTask",
    ),
    "waitress": ((*WAITRESS, "plain:app"), "plain.OwnTask"),
    "waitress with a factory": ((*WAITRESS, "--call", "factory:create_app"), "factory.FactoryTask"),
}


@pytest.mark.parametrize("how", SERVERS)
def test_twenty_tasks_at_once_survive_the_sigkill_of_their_server(site: Site, how: str) -> None:
    command, name = SERVERS[how]
    # Its supervisor is never idle before the end, for no task ends before it is let.
    with serving(site, *command, FORKTASK_IDLE_EXIT="0.1") as server:
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        assert len(site.supervisors()) == 1
        assert server.zombies() == []
        assert {server.get(f"/state/{each}") for each in ids} == {State.RUNNING}
        server.kill()
    site.until(lambda: is_free(server.port), "a free port: its workers are reaped by somebody else")
    assert {row.state for row in site.rows()} == {State.RUNNING}
    rows = finish(site, *ids)
    assert {row.task for row in rows} == {name}
    for row in rows:
        assert_clean(row, site)
    site.until(lambda: not site.processes(), "the supervisor to leave by itself")


@pytest.mark.parametrize("how", ["the development server", "the development server with its reloader", "waitress"])
def test_a_server_that_is_stopped_leaves_its_port_and_its_tasks(site: Site, how: str) -> None:
    """Of gunicorn and uWSGI it is seen in `test_forks`."""
    with serving(site, *SERVERS[how][0]) as server:
        ids = server.start_many(1)
        site.until(lambda: all_run(site, 1), "the task")
        stop_and_finish(server, *ids)


def test_the_first_initiate_is_answered_before_the_supervisor_has_imported_anything(site: Site) -> None:
    (site.folder / "slow").touch()
    (site.folder / "go").touch()
    with serving(site, *SERVERS["gunicorn gthread"][0]) as server:
        answers = [server.get("/start") for _ in range(5)]
        assert {answer["state"] for answer in answers} == {State.QUEUED}
        assert {row.state for row in site.rows()} == {State.QUEUED}
        (site.folder / "imported").touch()
        rows = site.until_final()
    assert [row.state for row in rows] == [State.COMPLETED] * 5
