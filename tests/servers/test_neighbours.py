"""Who shares a supervisor on one host, and who does not."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.databases import database_url
from tests.process.site import Site, open_site
from tests.servers.conftest import copy_applications
from tests.servers.serving import GTHREAD, SYNC, WAITRESS, all_run, finish, serving

NOBODY = "65534"
AS_NOBODY = (
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # To read this Python and these files, wherever they are; not to write, nor to signal.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


def test_eight_workers_share_one_supervisor(site: Site) -> None:
    with serving(site, *SYNC, "--workers", "8", "plain:app") as server:
        site.until(lambda: len(server.processes()) == 9, "eight workers")
        pids: set[int] = set()
        ids: list[str] = []

        def have_all_started_one() -> bool:
            with ThreadPoolExecutor(8) as pool:
                for answer in pool.map(server.get, ["/start"] * 8):
                    pids.add(answer["pid"])
                    ids.append(answer["id"])
            return len(pids) == 8

        site.until(have_all_started_one, "a task from each worker")
        assert len(site.supervisors()) == 1
        rows = finish(site, *ids)
    assert len({row.supervisor_id for row in rows}) == 1


def test_two_applications_on_one_host_have_a_supervisor_each(site: Site) -> None:
    with (
        serving(site, *GTHREAD, "plain:app") as one,
        serving(site, *WAITRESS, "--call", "factory:create_app", name="second") as other,
    ):
        with ThreadPoolExecutor(2) as pool:
            ids = list(pool.map(lambda server: server.start_many(10), (one, other)))
        site.until(lambda: all_run(site, 20), "twenty tasks")
        assert len(site.supervisors()) == 2
        finish(site)
    of_one, of_other = ({(row.task, row.supervisor_id) for row in map(site.row, of_server)} for of_server in ids)
    assert [{name for name, _ in found} for found in (of_one, of_other)] == [{"plain.OwnTask"}, {"factory.FactoryTask"}]
    assert len(of_one) == len(of_other) == 1
    assert {by for _, by in of_one} != {by for _, by in of_other}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_two_users_on_one_host_have_a_supervisor_each(tmp_path: Path) -> None:
    copy_applications(tmp_path)
    tmp_path.chmod(0o1777)
    with database_url("postgresql", tmp_path) as url, open_site(tmp_path, url) as site:
        site.environ |= {
            "FORKTASK_RUNTIME_DIR": "",
            "XDG_RUNTIME_DIR": "",
            "TMPDIR": str(tmp_path),
            "HOME": str(tmp_path),
        }
        script = (sys.executable, "plain.py")
        with serving(site, *script) as one, serving(site, *AS_NOBODY, *script, name="second") as other:
            with ThreadPoolExecutor(2) as pool:
                of_root, of_nobody = pool.map(lambda server: server.start_many(10), (one, other))
            site.until(lambda: all_run(site, 20), "twenty tasks")
            assert sorted(process.uids().effective for process in site.supervisors()) == [0, int(NOBODY)]
            assert {path.name: path.stat().st_uid for path in tmp_path.glob("forktask-*")} == {
                "forktask-0": 0,
                f"forktask-{NOBODY}": int(NOBODY),
            }
            finish(site)
        assert {site.row(each).result["user"] for each in of_root} == {0}
        assert {site.row(each).result["user"] for each in of_nobody} == {int(NOBODY)}
