"""New code while tasks run: what began on old code ends on it, what begins later begins on the new one."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

import psutil
import pytest

from forktask import State
from tests.ports import claimed_port
from tests.process.site import Site
from tests.servers.serving import GTHREAD, PRELOAD, SYNC, UWSGI_THREADS, ZOO, Server, all_run, finish, serving

STAYS = {"FORKTASK_IDLE_EXIT": "120"}
"""So that a supervisor that leaves does it because another one took its place."""


def deploy(site: Site) -> None:
    """Put the new code in the place of the old one."""
    code = (ZOO / "plain.py").read_text()
    (site.folder / "plain.py").write_text(code.replace('code = "old"', 'code = "new"'))


def test_old_tasks_end_on_old_code_and_new_ones_begin_on_new_code(site: Site) -> None:
    command = (*GTHREAD, "plain:app")
    with serving(site, *command, **STAYS) as before:
        (old,) = before.start_many(1)
        site.until(lambda: all_run(site, 1), "the task on old code")
        (old_supervisor,) = site.supervisors()
        deploy(site)
        with serving(site, *command, name="second", **STAYS) as after:
            new = after.start_many(10)
            site.until(lambda: all_run(site, 11), "the tasks on new code")
            (late,) = before.start_many(1)
            site.until(lambda: all_run(site, 12), "a task of the server that still has old code")
            assert len(site.supervisors()) == 2
            before.stop()
            codes = codes_of(site)
            site.until(lambda: not old_supervisor.is_running(), "the old supervisor to leave")
            assert len(site.supervisors()) == 1
    assert [codes[each] for each in new] == ["new"] * 10
    assert (codes[old], codes[late]) == ("old", "old")


def codes_of(site: Site) -> dict[str, str]:
    """Let all tasks end; return on which code each ran."""
    return {str(row.id): row.result["code"] for row in finish(site)}


RELOADING = {"gunicorn": (*SYNC, "plain:app"), "uWSGI": (*UWSGI_THREADS, "--module", "plain:app")}


@pytest.mark.parametrize("how", RELOADING)
def test_a_server_that_is_told_to_reload_starts_tasks_on_new_code(site: Site, how: str) -> None:
    with claimed_port() as port:  # a uWSGI that reloads begins anew, and on any port would take another one
        command = [word.replace("127.0.0.1:0", f"127.0.0.1:{port}") for word in RELOADING[how]]
        reload_with_new_code(site, command)


def reload_with_new_code(site: Site, command: list[str]) -> None:
    with serving(site, *command, **STAYS) as server:
        old = server.start_many(5)
        site.until(lambda: all_run(site, 5), "the tasks on old code")
        (old_supervisor,) = site.supervisors()
        deploy(site)
        reload(server)
        new = server.start_many(5)
        site.until(lambda: all_run(site, 10), "the tasks on new code")
        assert server.zombies() == []
        codes = codes_of(site)
        site.until(lambda: not old_supervisor.is_running(), "the old supervisor to leave")
        assert len(site.supervisors()) == 1
    assert [codes[each] for each in old] == ["old"] * 5
    assert [codes[each] for each in new] == ["new"] * 5


def test_tasks_run_on_while_gunicorn_with_preload_changes_its_workers(site: Site) -> None:
    with serving(site, *PRELOAD, "plain:app") as server:
        before = server.start_many(10)
        site.until(lambda: all_run(site, 10), "the tasks before")
        reload(server)
        after = server.start_many(10)
        site.until(lambda: all_run(site, 20), "the tasks after")
        assert len(site.supervisors()) == 1
        assert {server.get(f"/state/{each}") for each in before + after} == {State.RUNNING}
        assert server.zombies() == []
        finish(site)


def reload(server: Server) -> None:
    """Send SIGHUP; return when none of the workers of before is left and others answer."""
    old = psutil.Process(server.process.pid).children()
    os.kill(server.process.pid, signal.SIGHUP)
    server.site.until(lambda: not any(worker.is_running() for worker in old), "the end of the old workers")
    server.site.until(lambda: answers(server), "the new workers")


def answers(server: Server) -> bool:
    with suppress(OSError):
        return bool(server.get("/"))
    return False
