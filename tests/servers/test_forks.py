"""In a real server: whoever of ours forks has one thread, and Python's development mode finds nothing to warn of."""

from __future__ import annotations

import pytest

from forktask.states import StartMethod
from tests.process.site import ROOT, Site
from tests.servers.serving import (
    GEVENT,
    GTHREAD,
    SYNC,
    UWSGI_THREADS,
    ZOO,
    Server,
    all_run,
    serving,
    stop_and_finish,
)

UWSGI_PLAIN = (*UWSGI_THREADS, "--module", "plain:app")
DEVELOPMENT = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "default"}


def forks(site: Site) -> list[tuple[str, int, int]]:
    """Return for each fork in a Python process: its program, its pid, its threads."""
    lines = [line.split() for line in (site.folder / "forks").read_text().splitlines()]
    return [(program, int(pid), int(threads)) for program, pid, threads in lines]


@pytest.mark.parametrize(
    ("command", "method", "mode"),
    [
        ((*GTHREAD, "plain:app"), StartMethod.FORKSERVER, DEVELOPMENT),
        ((*GEVENT, "plain:app"), StartMethod.FORKSERVER, {}),
        (UWSGI_PLAIN, StartMethod.FORKSERVER, DEVELOPMENT),
        ((*SYNC, "plain:app"), StartMethod.FORK, {}),
    ],
    ids=["gunicorn gthread", "gunicorn gevent", "uWSGI", "gunicorn sync, start method fork"],
)
def test_whoever_forks_has_one_thread_and_development_mode_warns_of_nothing(
    site: Site, command: tuple[str, ...], method: StartMethod, mode: dict[str, str]
) -> None:
    more = {
        "PYTHONPATH": f"{ZOO / 'audited'}:{ROOT}",
        "FORKS": str(site.folder / "forks"),
        "FORKTASK_START_METHOD": method.value,
        **mode,
    }
    with serving(site, *command, name="server", **more) as server:
        ids = server.start_many(20)
        site.until(lambda: all_run(site, 20), "twenty tasks")
        web = {process.pid for process in server.processes()}
        found = [(program, pid, threads) for program, pid, threads in forks(site) if pid != server.process.pid]
        assert [fork for fork in found if fork[2] != 1] == []
        by_web = [pid for _, pid, _ in found if pid in web]
        assert len(by_web) == (20 if method is StartMethod.FORK else 0), "else the web process only executes"
        others = [pid for _, pid, _ in found if pid not in web]
        # Those between, and supervisors; else the supervisor and its nursery.
        assert len(set(others)) == (40 if method is StartMethod.FORK else 2)
        assert len(others) >= 20
        stop_and_finish(server, *ids)
        if mode:
            site.until(lambda: not site.processes(), "the end of the supervisor")
            assert_no_warnings(server, *ids)


def assert_no_warnings(server: Server, *ids: str) -> None:
    site = server.site
    output = server.log.read_text() + site.log()
    assert "left pid" in output
    output += "".join(line.text for each in ids for line in site.store.log(site.row(each).id))
    assert [line for line in output.splitlines() if "ResourceWarning" in line] == []
