"""Under gevent: one greenlet that waits holds up no other, and what gevent patches stays out of the supervisor."""

from __future__ import annotations

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

import psutil
import pytest

from forktask import Settings, State
from forktask.supervisor.boot import configuration
from tests.process.site import Site
from tests.servers.serving import FLASK, GEVENT, all_run, assert_clean, finish, serving

ONE = (*GEVENT, "--workers", "1")


@pytest.mark.parametrize("more", [(), ("--preload",)])
def test_greenlets_that_wait_for_tasks_hold_up_nobody(site: Site, more: tuple[str, ...]) -> None:
    with serving(site, *ONE, *more, "plain:app") as server, ThreadPoolExecutor(5) as pool:
        ids = server.start_many(5)
        site.until(lambda: all_run(site, 5), "the tasks")
        waits = [pool.submit(server.get, f"/wait/{each}") for each in ids]
        site.until(lambda: len(list(site.folder.glob("waits-*"))) == 5, "five greenlets that wait")
        assert {server.get(f"/state/{each}") for each in ids} == {State.RUNNING}
        finish(site)
        assert {wait.result() for wait in waits} == {State.COMPLETED}


def test_a_greenlet_that_keeps_the_process_busy_does_no_harm_to_the_supervisor(site: Site) -> None:
    with serving(site, *ONE, "busy:app") as server, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.get, "/start-busily")
        site.until(site.supervisors, "a supervisor")
        (site.folder / "rest").touch()
        status_id = answer.result()["id"]
        site.until(lambda: all_run(site, 1), "the task")
        assert len(site.supervisors()) == 1
        finish(site, status_id)


@pytest.mark.parametrize(
    "command",
    [
        (*ONE, "patched:app"),
        (*FLASK[:2], "patched", *FLASK[3:]),
    ],
    ids=["gunicorn gevent", "the development server"],
)
def test_an_application_that_patches_python_has_it_patched_in_its_tasks(site: Site, command: tuple[str, ...]) -> None:
    with serving(site, *command) as server:
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        (supervisor,) = site.supervisors()
        for row in finish(site, *ids):
            assert_clean(row, site, "anon_inode")
            assert row.result["order"] == ["early", "late"]
        assert supervisor.is_running()
        assert "Traceback" not in site.log()


def test_under_gevent_a_process_without_a_private_directory_has_a_supervisor_of_its_own(site: Site) -> None:
    with serving(site, *ONE, "plain:app", FORKTASK_RUNTIME_DIR="/proc/no/such/folder") as server:
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        finish(site, *ids)


def test_a_task_that_gevent_keeps_waiting_is_cancelled(site: Site) -> None:
    with serving(site, *ONE, "patched:app") as server:
        (status_id,) = server.start_many(1)
        site.until(lambda: all_run(site, 1), "the task")
        assert server.get(f"/cancel/{status_id}")
        assert site.until_final(status_id)[0].state is State.CANCELLED
        (attempt,) = site.store.attempts(site.row(status_id).id)
        assert (attempt.exit_code, attempt.signal) == (1, None), "it raised TaskStopped and left"


def test_the_start_method_fork_is_refused_where_gevent_has_patched_python(site: Site) -> None:
    with serving(site, *ONE, "plain:app", FORKTASK_START_METHOD="fork") as server:
        with pytest.raises(HTTPError):
            server.get("/start")
        assert "use forkserver" in server.log.read_text()
        assert site.rows() == []


def test_a_supervisor_waits_for_its_orders_though_its_standard_input_does_not_block(site: Site) -> None:
    settings = Settings(database_url=site.url, idle_exit=0.1)
    ours, theirs = socket.socketpair()
    client, of_supervisor = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with ours, theirs, client, of_supervisor:
        process = psutil.Popen(
            [sys.executable, "-P", "-m", "forktask", "supervisor", "name"],
            cwd=site.folder,
            env=site.environ,
            stdin=theirs.fileno(),
            pass_fds=[of_supervisor.fileno()],
        )
        looks = [""] * 5

        def waits() -> bool:
            assert process.poll() is None, "it did not wait"
            looks[:] = [*looks[1:], process.status()]
            return set(looks) == {psutil.STATUS_SLEEPING}

        site.until(waits, "a process that sleeps")
        config = configuration(settings, "application", "version", "served:")
        ours.sendall(json.dumps({**config, "client": of_supervisor.fileno(), "name": "name"}).encode())
        ours.close()
        client.close()
        of_supervisor.close()
        assert process.wait(60) == 0
