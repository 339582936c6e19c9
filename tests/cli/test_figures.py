"""`forktask stats`, `tasks`, `supervisors`, `check`, `init` and `deinit`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, make_url

from forktask import clock, process
from forktask.cli import terminal
from forktask.cli.terminal import Paper
from forktask.rows import new_id
from forktask.store import ALL_QUEUES, Store
from forktask.tables import metadata
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_completed, a_failed, a_living_supervisor, a_running
from tests.databases import KINDS, database_url, order
from tests.store.examples import inserted


def test_statuses_are_counted_by_task_and_state(cli: CommandLine) -> None:
    store = cli.runtime.store
    a_failed(store)
    a_completed(store, task="shop.Mail", active_seconds=2.0)
    inserted(store, task="shop.Mail", due_at=clock.now() - timedelta(minutes=5))
    store.pause_queue(ALL_QUEUES)
    told = json.loads(cli.said("stats", "--json"))
    states = {state: count for state, count in told["states"].items() if count}
    assert states == {"queued": 1, "completed": 1, "failed": 1}
    mail = next(one for one in told["tasks"] if one["task"] == "shop.Mail")
    assert (mail["completed"], mail["queued"], mail["median_seconds"], mail["p90_seconds"]) == (1, 1, 2.0, 2.0)
    assert told["waiting_seconds"] > 299
    assert (told["supervisors"], told["workers_stopped"]) == (1, True)
    text = cli.said("stats", "--since", "1 hour")
    assert text.startswith("queued 1  running 0  paused 0  completed 1  failed 1")
    assert "forktask resume-workers" in text
    assert json.loads(cli.said("stats", "--json", "--since", "2999-01-01"))["states"]["queued"] == 1


def test_what_is_not_due_yet_does_not_wait(here: CommandLine) -> None:
    inserted(here.runtime.store, due_at=clock.now() + timedelta(hours=1))
    assert json.loads(here.said("stats", "--json"))["waiting_seconds"] is None
    assert "in line" not in here.said("stats")


def test_registered_tasks_are_shown(cli: CommandLine) -> None:
    assert any(line.startswith("tests.zoo.nothing ") for line in cli.said("tasks").splitlines())
    told = {one["name"]: one for one in json.loads(cli.said("tasks", "--json"))}
    assert told["tests.zoo.phases"]["phases"] == ["First", "Never", "Second", "Third"]


def test_supervisors_are_shown_with_what_they_do(cli: CommandLine) -> None:
    store = cli.runtime.store
    me = process.identify()
    worker = a_living_supervisor(store, kind="worker", queues=["mail"], id=new_id())
    a_running(store, worker)
    a_living_supervisor(store, start_ticks=1, id=new_id())
    told = json.loads(cli.said("supervisors", "list", "--json"))
    assert [(one["kind"], one["running"], one["state"]) for one in told] == [
        ("worker", 1, "lives"),
        ("embedded", 0, "gone"),
    ]
    assert "is gone from here" in told[1]["death"]
    head, first, _ = cli.said("supervisors").splitlines()
    assert head.split() == ["PID", "HOST", "KIND", "QUEUES", "RUNNING", "STARTED", "HEARTBEAT", "STATE"]
    assert first.split()[:5] == [str(me.pid), "here", "worker", "mail", "1"]


def test_a_supervisor_of_this_host_is_told_to_end(here: CommandLine) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as other:
        who = process.identify(other.pid)
        a_living_supervisor(here.runtime.store, pid=who.pid, start_ticks=who.start_ticks)
        assert (
            here.said("supervisors", "stop", str(other.pid))
            == f"pid {other.pid} is told to end, with 0 tasks under way\n"
        )
        assert other.wait(30) == -15
    assert "is gone" in here.refused("supervisors", "stop", str(other.pid))


def test_one_that_is_elsewhere_or_nowhere_is_not_told(cli: CommandLine) -> None:
    row = a_living_supervisor(cli.runtime.store, boot_id="elsewhere", pid=1)
    assert "is on here, or in another container: stop it there" in cli.refused("supervisors", "stop", str(row.id))
    assert "no supervisor has the id or pid 4711" in cli.refused("supervisors", "stop", "4711", code=5)


def test_what_is_found_with_the_settings_is_shown(cli: CommandLine) -> None:
    told = {one["what"]: one for one in json.loads(cli.said("check", "--json"))}
    assert told["FORKTASK_MAX_RUNNING"]["origin"] == "default"
    assert told["tables"]["problem"] == ""
    if cli.application is not None:
        assert told["FORKTASK_DATABASE_URL"]["origin"] == "app.config"
    else:
        assert told["application"]["value"] == "tests.zoo:"


def test_what_is_wrong_is_told_whole_on_a_narrow_terminal(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    here.runtime.store.drop_tables()
    monkeypatch.setattr(terminal, "paper", lambda stream=None: Paper(width=40, colour=False))
    *table, told = here.said("check", code=1).splitlines()
    assert told.startswith("tables: missing: forktask_attempt, ")
    assert told.endswith("forktask init creates them")
    assert all(len(line) <= 40 for line in table)


def test_where_no_application_is_named_check_says_so(
    here: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here.runtime.settings = replace(here.runtime.settings, app="")
    monkeypatch.setattr("forktask.registry._tasks", {})
    monkeypatch.chdir(tmp_path)
    told = {one["what"]: one["value"] for one in json.loads(here.said("check", "--json"))}
    assert told["application"] == "none, and so no task: --app names it"
    assert told["tasks"] == "0"


def test_stopped_workers_are_told_to_programs(cli: CommandLine) -> None:
    worker = a_living_supervisor(cli.runtime.store, kind="worker", queues=["mail"])
    told = [{"host": "here", "pid": worker.pid, "queues": ["mail"], "obeys": False}]
    assert json.loads(cli.said("stop-workers", "--wait", "0", "--json", code=4)) == told
    assert json.loads(cli.said("resume-workers", "--json")) == [told[0] | {"obeys": True}]


def test_what_is_wrong_is_shown_and_ends_with_1(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir(mode=0o755)
    environ = {"FORKTASK_DATABASE_URL": f"sqlite:///{tmp_path}/none.sqlite", "FORKTASK_RUNTIME_DIR": str(folder)}
    program = Path(sys.executable).with_name("forktask")
    done = subprocess.run([program, "check", "--json"], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    told = {one["what"]: one["problem"] for one in json.loads(done.stdout)}
    assert "forktask init creates them" in told["tables"]
    assert "is open to other users (mode 755)" in told["runtime directory"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_an_older_or_a_newer_version_are_told_apart(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: CommandLine
) -> None:
    with database_url(kind, tmp_path) as url:
        store = Store(url)
        store.create_tables()
        monkeypatch.setitem(here.runtime.__dict__, "store", store)
        try:
            on_table = " ON forktask_status" if kind == "mariadb" else ""
            order(url, f"DROP INDEX forktask_status_unique{on_table}", f"DROP INDEX forktask_status_queue{on_table}")
            told = "without the indexes forktask_status_queue, forktask_status_unique: forktask init adds them"
            assert told in here.said("check", code=1)
            here.said("init")
            assert "without the indexes" not in here.said("check")
            order(url, "ALTER TABLE forktask_status ADD COLUMN colour INTEGER")
            assert "of a newer version, which has forktask_status.colour too" in here.said("check", code=1)
            order(url, "ALTER TABLE forktask_status DROP COLUMN colour", "ALTER TABLE forktask_log DROP COLUMN logger")
            assert "of an older version, without forktask_log.logger" in here.said("check", code=1)
        finally:
            store.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_init_would_do_is_printed_and_does_the_same(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: CommandLine
) -> None:
    with database_url(kind, tmp_path) as url:
        store = Store(url)
        monkeypatch.setitem(here.runtime.__dict__, "store", store)
        try:
            create, drop = (
                [part for part in here.said(verb, "--sql").split(";\n") if part.strip()] for verb in ("init", "deinit")
            )
            order(url, *create)
            found = inspect(store.database.engine)
            assert set(found.get_table_names()) >= set(metadata.tables)
            by_hand = {index["name"] for index in found.get_indexes("forktask_status")}
            order(url, *drop)
            assert set(inspect(store.database.engine).get_table_names()) == set()
            here.said("init")
            assert {index["name"] for index in inspect(store.database.engine).get_indexes("forktask_status")} == by_hand
        finally:
            store.close()


def test_tables_are_dropped_when_it_was_asked_and_nobody_lives(here: CommandLine) -> None:
    store = here.runtime.store
    inserted(store)
    assert "with 1 statuses, 1 of them not final?" in here.refused("deinit", code=2)
    row = a_living_supervisor(store)
    assert f"pid {row.pid} on here would create the tables again" in here.refused("deinit", "--yes", code=6)
    store.retire(row.id)
    assert here.said("deinit", "--yes").endswith("are gone\n")
    assert "forktask init creates them" in here.refused("list")
    here.said("init")
    assert len(here.said("list").splitlines()) == 1


def test_no_password_is_shown(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_url("postgresql+psycopg://me:geheim@127.0.0.1:1/db")
    monkeypatch.setattr(here.runtime.store.database, "url", url)
    assert "geheim" not in here.run("init", "--sql").output
