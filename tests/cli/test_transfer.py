"""`forktask export` and `forktask import`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forktask import clock
from forktask.rows import LogRow
from forktask.states import Cause, State
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_failed, a_running
from tests.databases import order
from tests.store.examples import inserted, read


def emptied(cli: CommandLine) -> None:
    order(cli.runtime.settings.database_url, *(f"DELETE FROM forktask_{name}" for name in ("status", "attempt", "log")))


def test_statuses_are_the_same_after_the_way_through_a_file(cli: CommandLine, tmp_path: Path) -> None:
    store = cli.runtime.store
    failed = a_failed(store, settings={"path": "ü.csv"}, owner="bob")
    piece = LogRow(status_id=failed.id, attempt=1, position=0, at=clock.now(), level=None, logger=None, text="one\n")
    store.save([], [], [piece])
    waiting = inserted(store, queue="mail", metadata={"a": [1]})
    before = (read(store, failed), read(store, waiting), store.attempts(failed.id), store.log(failed.id))
    file = tmp_path / "all.jsonl"
    cli.said("export", "--output", str(file))
    assert [json.loads(line)["status"]["id"] for line in file.read_text().splitlines()] == [
        str(waiting.id),
        str(failed.id),
    ]
    assert cli.said("import", str(file)) == "0 imported, 2 there before, 0 refused\n"
    emptied(cli)
    assert cli.said("import", "-", stdin=file.read_text()) == "2 imported, 0 there before, 0 refused\n"
    after = (read(store, failed), read(store, waiting), store.attempts(failed.id), store.log(failed.id))
    assert after[0] == before[0]._replace(supervisor_id=None)
    assert after[1] == before[1]._replace(later=1)  # its turn is one of this table
    assert after[2:] == before[2:]


def test_secrets_are_masked_and_what_needs_them_does_not_come_in(cli: CommandLine) -> None:
    store = cli.runtime.store
    settings = {"login": {"password": "geheim"}, "urls": ["https://bob:geheim@host/"], "apiKey": "geheim", "key": "a"}
    waiting, done = inserted(store, settings=settings), inserted(store, settings=settings, state=State.FAILED)
    lines = cli.said("export")
    assert "geheim" not in lines
    assert json.loads(lines.splitlines()[0])["status"]["settings"] == {
        "login": {"password": "***"},
        "urls": ["https://bob:***@host/"],
        "apiKey": "***",
        "key": "a",
    }
    clear = cli.said("export", "--with-secrets")
    emptied(cli)
    told = cli.refused("import", "-", stdin=lines)
    assert f"line 2: settings['login']['password'] was masked when {waiting.id} was exported" in told
    assert "initiate it again" in cli.refused("retry", str(done.id))
    emptied(cli)
    cli.said("import", "-", "--paused", stdin=clear)
    assert (read(store, waiting).settings, read(store, waiting).state) == (settings, State.PAUSED)


def test_what_was_under_way_elsewhere_is_lost_here(cli: CommandLine) -> None:
    row = a_running(cli.runtime.store)
    lines = cli.said("export")
    emptied(cli)
    cli.said("import", "-", stdin=lines)
    found = read(cli.runtime.store, row)
    assert (found.state, found.cause, found.runner_pid) == (State.LOST, Cause.SUPERVISOR_GONE, None)
    assert found.finished_at == found.updated_at


def test_another_of_its_kind_is_refused_and_the_others_come_in(cli: CommandLine) -> None:
    store = cli.runtime.store
    inserted(store, unique_key="k")
    plain = inserted(store)
    lines = cli.said("export")
    emptied(cli)
    inserted(store, unique_key="k")
    told = cli.run("import", "-", stdin=lines, code=6)
    assert told.stdout == "1 imported, 0 there before, 1 refused\n"
    assert told.stderr.startswith("line 2: ")
    assert read(store, plain).state is State.QUEUED


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"forktask": 2}, "it is no status that forktask exported"),
        ({"status": {"id": "x"}}, "it is no exported status"),
        ({"status": {"colour": "red"}}, "this version of forktask knows no colour"),
        ({"status": {"created_at": "2030-01-01T00:00:00"}}, "created_at='2030-01-01T00:00:00' has no time zone"),
        ({"status": {"state": "done"}}, "it is no exported status: 'done' is not a valid State"),
    ],
)
def test_a_line_that_is_none_is_named(here: CommandLine, change: dict[str, Any], told: str) -> None:
    inserted(here.runtime.store)
    line = json.loads(here.said("export"))
    line["status"] |= change.pop("status", {})
    text = json.dumps(line | change)
    assert f"line 2: {told}" in here.refused("import", "-", stdin=f"\n{text}\n")
    assert "it is no exported status" in here.refused("import", "-", stdin="{")


def test_output_is_left_out_where_nobody_wants_it(here: CommandLine) -> None:
    row = a_failed(here.runtime.store)
    piece = LogRow(status_id=row.id, attempt=1, position=0, at=clock.now(), level=None, logger=None, text="one\n")
    here.runtime.store.save([], [], [piece])
    assert json.loads(here.said("export", "--no-log"))["log"] == []
    assert json.loads(here.said("export"))["log"][0]["text"] == "one\n"
