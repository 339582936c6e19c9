"""`forktask schedule`: what there is, and what no code declares."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from forktask import clock
from forktask.cli import group
from forktask.runtime import Runtime
from forktask.schedule import changes, declared
from forktask.schedule.changes import Source, new_row
from forktask.schedule.declaration import forget
from forktask.schedule.table import ScheduleRow
from forktask.store import Store
from tests import zoo
from tests.runtimes import MakeRuntime

NOTHING = zoo.nothing.name
CODE = Source(application="shop:app", version="1")


@pytest.fixture
def store(make_runtime: MakeRuntime) -> Store:
    return make_runtime().store


@pytest.fixture(autouse=True)
def _no_declarations() -> Iterator[None]:
    yield
    for name in declared():
        forget(name)


@pytest.fixture
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def said(*arguments: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(group, ["schedule", *arguments], input=stdin, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: str, stdin: str | None = None) -> str:
    done = CliRunner().invoke(group, ["schedule", *arguments], input=stdin, catch_exceptions=False)
    assert done.exit_code in (1, 2), done.output
    return done.output


def found(store: Store, name: str) -> ScheduleRow:
    row = store.schedule(name)
    assert row is not None
    return row


def listed(*arguments: str) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(said("list", "--json", *arguments))}


def test_what_a_command_adds_is_checked_and_stands_in_the_table(store: Store) -> None:
    rule = ["--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--jitter", "5 min", "--overlap", "queue"]
    run = ["--settings", '{"a": 1}', "--owner", "bob", "--queue", "reports", "--priority", "80", "--title", "Report"]
    assert said("add", NOTHING, "--name", "nightly", *rule, *run) == "added nightly\n"
    row = found(store, "nightly")
    assert (row.cron, row.timezone, row.jitter, row.overlap, row.missed) == (
        "30 2 * * *", "Europe/Berlin", 300, "queue", "last",
    )  # fmt: skip
    assert (row.settings, row.owner, row.queue, row.priority, row.title) == ({"a": 1}, "bob", "reports", 80, "Report")
    assert row.application == ""
    assert said("add", NOTHING, "--name", "nightly", "--every", "1 hour") == "changed nightly\n"
    row = found(store, "nightly")
    assert (row.cron, row.every, row.owner) == (None, 3600, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tests.zoo.nothign", "--every", "60"], "no task is registered as 'tests.zoo.nothign'"),
        ([NOTHING], "either every= or cron="),
        ([NOTHING, "--every", "soon"], "every='soon'"),
        ([NOTHING, "--cron", "0 0 30 2 *"], "cron='0 0 30 2 *'"),
        ([NOTHING, "--every", "60 s", "--settings", "{"], "it is no JSON"),
        ([NOTHING, "--every", "60 s", "--priority", "101"], "priority is 101"),
        ([NOTHING, "--every", "60 s", "--start", "2030-01-01"], "no time with a time zone"),
        ([NOTHING, "--every", "60 s", "--missed", "some"], "some"),
        ([zoo.PrivateTask.name, "--every", "60 s"], "private arguments"),
    ],
)
def test_what_is_wrong_is_said(store: Store, arguments: list[str], told: str) -> None:
    assert told in refused("add", *arguments)
    assert store.schedules()[0] == []


def test_a_file_is_loaded_as_a_whole_or_not_at_all(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "tasks.json"
    entries: list[dict[str, Any]] = [
        {"task": NOTHING, "every": "10 minutes", "name": "often", "settings": {"a": [1]}, "priority": 10},
        {"task": NOTHING, "cron": "@daily", "timezone": "America/New_York", "name": "daily", "missed": "none"},
    ]
    file.write_text(json.dumps(entries))
    assert said("load", str(file)) == "added often\nadded daily\n"
    assert said("load", str(file)) == "changed often\nchanged daily\n"
    assert [(row.name, row.every, row.cron, row.priority) for row in store.schedules()[0]] == [
        ("daily", None, "0 0 * * *", 50),
        ("often", 600, None, 10),
    ]
    for wrong, told in (
        ([{**entries[0], "every": 60}, {"task": NOTHING, "evry": 5}], "entry 1: a recurring task does not take evry"),
        ([entries[0], "daily"], "entry 1: 'daily' names no task"),
        ([entries[0], entries[0]], "two recurring tasks are called 'often'"),
        ({"often": entries[0]}, "is no list"),
    ):
        assert told in refused("load", "-", stdin=json.dumps(wrong))
    assert "is no JSON" in refused("load", "-", stdin="[")
    assert found(store, "often").every == 600


@pytest.mark.usefixtures("_in_berlin")
def test_the_list_shows_next_runs_in_local_time_or_utc(store: Store) -> None:
    assert said("list") == "NAME  STATE  NEXT RUN  RULE  TASK\n"
    said("add", NOTHING, "--name", "leap", "--cron", "30 12 29 2 *", "--timezone", "UTC")
    local, utc = said("list", "--next", "2"), said("list", "--utc", "--next", "2")
    assert re.search(r"^leap +active +2028-02-29 13:30:00 CET +cron 30 12 29 2 \* UTC +tests.zoo.nothing$", local, re.M)
    assert re.search(r"^ +2032-02-29 13:30:00 CET$", local, re.M)
    assert "2028-02-29 12:30:00 UTC" in utc
    told = listed("--next", "2")["leap"]
    assert told["next"] == ["2028-02-29T12:30:00+00:00", "2032-02-29T12:30:00+00:00"]
    assert (told["state"], told["task"], told["cron"], told["last_due_at"]) == ("active", NOTHING, "30 12 29 2 *", None)


def test_a_pause_holds_until_it_is_resumed(store: Store) -> None:
    said("add", NOTHING, "--name", "often", "--every", "60")
    assert said("pause", "often") == "paused often\n"
    assert (listed()["often"]["state"], listed()["often"]["next"]) == ("paused", [])
    said("pause", "often")
    said("add", NOTHING, "--name", "often", "--every", "90 s")
    assert (found(store, "often").next_at, found(store, "often").every) == (None, 90)
    assert said("resume", "often") == "resumed often\n"
    due = found(store, "often").due_at
    assert due is not None
    assert due > clock.now()
    said("resume", "often")
    assert found(store, "often").due_at == due


def test_what_the_code_declares_can_be_paused_and_not_removed(store: Store) -> None:
    now = store.schedules()[1]
    made = zoo.nothing.every(600, name="coded")
    store.write_schedules([new_row(made, CODE, now)], [])
    assert "'coded' is declared in the code of shop:app: remove it there, or pause it" in refused("remove", "coded")
    assert "change it there" in refused("add", NOTHING, "--name", "coded", "--every", "60 s")
    said("pause", "coded")
    assert found(store, "coded").paused_at is not None
    assert store.change_schedule(found(store, "coded"), changes.withdrawn(now + timedelta(seconds=1)))
    assert listed() == {}
    assert listed("--all")["coded"]["state"] == "withdrawn"
    assert said("remove", "coded") == "removed coded\n"
    assert store.schedule("coded") is None


@pytest.mark.parametrize("verb", ["remove", "pause", "resume"])
def test_a_name_that_is_none_is_said(store: Store, verb: str) -> None:
    assert "no recurring task is called 'nightly'; see `forktask schedule list`" in refused(verb, "nightly")


def test_what_has_ended_has_no_next_run(store: Store) -> None:
    made = zoo.nothing.every(60, name="ended", end=datetime.fromisoformat("2020-01-01T00:00:00+00:00"))
    store.write_schedules([new_row(made, Source(), store.schedules()[1])], [])
    assert (listed()["ended"]["state"], listed()["ended"]["next"]) == ("ended", [])


def test_what_is_declared_and_no_supervisor_has_said_yet_is_listed(own_runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "shop_app.py").write_text(
        "import flask, forktask, forktask.web\napp = flask.Flask(__name__)\nforktask.web.ForkTask(app)\n\n"
        "@forktask.task\ndef report(status):\n    return None\n\nreport.cron('0 3 * * *', timezone='Europe/Berlin')\n"
    )
    program = str(Path(sys.executable).with_name("forktask"))
    environment = os.environ | {"FORKTASK_DATABASE_URL": own_runtime.settings.database_url, "TZ": "UTC"}
    command = [program, "--app", "shop_app:app", "schedule", "list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^shop_app\.report cron .* declared +\d{4}-.* UTC +cron 0 3 \* \* \* Europe/Berlin", done.stdout, re.M
    )
