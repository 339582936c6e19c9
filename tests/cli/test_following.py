"""`forktask follow` and `forktask top`, where nobody watches the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forktask import clock
from forktask.operations.following import Event, Follower
from forktask.operations.looking import Looker
from forktask.rows import LogRow, StatusRow
from forktask.selection import EVERYTHING, Selection
from forktask.states import State
from forktask.store import StoreUnavailableError
from tests import zoo
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_completed, a_failed, a_living_supervisor, a_running
from tests.runtimes import PATIENCE, MakeRuntime
from tests.store.examples import an_end, inserted
from tests.waiting import wait_until


def print_(cli: CommandLine, row: StatusRow, position: int, text: str, **more: Any) -> None:
    told: dict[str, Any] = {"at": clock.now(), "level": None, "logger": None} | more
    cli.runtime.store.save(
        [], [], [LogRow(status_id=row.id, attempt=row.attempt, position=position, text=text, **told)]
    )


def texts(events: list[Event]) -> list[str]:
    return [event.text if event.state is None else f"→ {event.state}" for event in events]


def test_what_happens_is_told_once_and_in_order(cli: CommandLine) -> None:
    store = cli.runtime.store
    watcher = a_living_supervisor(store)
    before = a_running(store, watcher)
    print_(cli, before, 0, "long ago\n")
    follower = Follower(Looker(cli.runtime), EVERYTHING)
    assert follower.events() == []
    print_(cli, before, 1, "one\ntwo\n", level="INFO")
    new = inserted(store)
    assert texts(follower.events()) == ["one", "two", "→ queued"]
    store.save([], [an_end(before, State.FAILED, supervisor_id=watcher.id, error="Broken.", reference="K7QX-3MFA")])
    store.cancel_waiting(new.id)
    told = follower.events()
    assert sorted(texts(told)) == ["→ cancelled", "→ failed"]
    assert "Broken. (K7QX-3MFA)" in [event.text for event in told]
    assert follower.events() == []


def test_only_what_fits_is_told(here: CommandLine) -> None:
    follower = Follower(Looker(here.runtime), Selection(task="shop.Mail"))
    inserted(here.runtime.store)
    wanted = inserted(here.runtime.store, task="shop.Mail")
    assert [event.status_id for event in follower.events()] == [wanted.id]


def test_since_begins_earlier(cli: CommandLine) -> None:
    store = cli.runtime.store
    watcher = a_living_supervisor(store)
    row = a_running(store, watcher)
    print_(cli, row, 0, "old\n", at=clock.now() - timedelta(hours=2))
    print_(cli, row, 1, "recent\n")
    done = a_completed(store)
    follower = Follower(Looker(cli.runtime), EVERYTHING, since=clock.now() - timedelta(hours=1))
    told = follower.events()
    assert "recent" in texts(told)
    assert "old" not in texts(told)
    assert (done.id, State.COMPLETED) in [(event.status_id, event.state) for event in told]


def test_one_status_is_followed_to_its_end_whose_code_is_the_commands(cli: CommandLine) -> None:
    row = a_failed(cli.runtime.store)
    print_(cli, row, 0, "one\nan error\n")
    told = cli.said("follow", str(row.id), code=10)
    assert [line.partition(" shop.ImportTask ")[2] for line in told.splitlines()] == [
        "→ failed Something went wrong while this was running. (K7QX-3MFA)",
        "| one",
        "| an error",
    ]
    lines = [json.loads(line) for line in cli.said("follow", str(row.id), "--json", code=10).splitlines()]
    assert [(line["kind"], line.get("state"), line["text"]) for line in lines][1:] == [
        ("log", None, "one"),
        ("log", None, "an error"),
    ]
    assert cli.said("follow", str(row.id), "--grep", "an er", code=10).count("\n") == 1
    assert "is no regular expression" in cli.refused("follow", "--grep", "(", code=2)
    assert "not both" in cli.refused("follow", str(row.id), "--task", "x", code=2)


def test_what_a_task_prints_is_seen_while_it_runs(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    status = zoo.wait.initiate({"path": str(tmp_path / "go")})
    environ = {
        "FORKTASK_DATABASE_URL": runtime.settings.database_url,
        "FORKTASK_RUNTIME_DIR": runtime.settings.runtime_dir,
    }
    command = [str(Path(sys.executable).with_name("forktask")), "follow", str(status.id), "--json"]
    output = tmp_path / "output"
    with output.open("w") as file, subprocess.Popen(command, env=os.environ | environ, stdout=file) as follower:
        wait_until(lambda: '"running"' in output.read_text(), PATIENCE, "its start")
        (tmp_path / "go").touch()
        assert follower.wait(PATIENCE) == 0
    assert json.loads(output.read_text().splitlines()[-1])["state"] == "completed"


def test_top_in_a_pipe_is_one_table(cli: CommandLine) -> None:
    row = a_running(cli.runtime.store)
    counts, empty, head, line = cli.said("top").splitlines()
    assert "running 1" in counts
    assert empty == ""
    assert head.split()[:4] == ["ID", "STATE", "TASK", "PID"]
    assert line.split()[:4] == [str(row.id)[:13], "running", "shop.ImportTask", str(os.getpid())]


def test_top_shows_what_a_runner_takes(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    status = zoo.wait.initiate({"path": str(tmp_path / "go")})
    wait_until(lambda: status.refresh().message == "waiting", PATIENCE, "its start")
    line = CommandLine(runtime).said("top").splitlines()[-1]
    (tmp_path / "go").touch()
    assert " MiB " in line
    assert " % " in line
    status.wait(PATIENCE)


def test_a_follower_outlives_a_database_that_is_away(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    row = a_failed(here.runtime.store)
    real, away = Follower.events, [True]

    def events(self: Follower) -> list[Event]:
        if away:
            away.pop()
            raise StoreUnavailableError("no answer")
        return real(self)

    monkeypatch.setattr(Follower, "events", events)
    monkeypatch.setattr("forktask.cli.following.INTERVAL", 0)
    done = here.run("follow", str(row.id), code=10)
    assert done.stderr == "the database cannot be had: no answer\n"
    assert "→ failed" in done.stdout
