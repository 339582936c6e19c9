"""`forktask start` and `forktask enqueue`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forktask import clock
from forktask.rows import StatusRow
from forktask.states import State
from tests.cli.conftest import CommandLine


def last(cli: CommandLine) -> StatusRow:
    (row,) = cli.runtime.store.find(limit=1)
    return row


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        ([], {}),
        (['{"a": [1, 2]}'], {"a": [1, 2]}),
        (["year=2026", "name=Bob", "zip=01234", "on=true", 'list=[1, "b"]', 'code="05"', "empty=", "a.b=c=d"],
         {"year": 2026, "name": "Bob", "zip": "01234", "on": True, "list": [1, "b"], "code": "05", "empty": "",
          "a.b": "c=d"}),
        (["-"], {"from": "stdin"}),
        (["@FILE"], {"from": "file"}),
        (["text=@FILE"], {"text": '{"from": "file"}'}),
    ],
)  # fmt: skip
def test_settings_come_in_every_form(here: CommandLine, tmp_path: Path, words: list[str], settings: Any) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"from": "file"}')
    given = [word.replace("FILE", str(file)) for word in words]
    told = here.said("start", "tests.zoo.echo", *given, stdin='{"from": "stdin"}')
    assert told == f"{last(here).id}\n"
    assert (last(here).settings, last(here).state) == (settings, State.COMPLETED)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["year"], "'year' is neither key=value nor JSON, @file or -"),
        (["{"], "SETTINGS is no JSON"),
        (["@nowhere.json"], "cannot read nowhere.json: No such file or directory"),
    ],
)
def test_settings_that_are_none_are_refused(here: CommandLine, words: list[str], told: str) -> None:
    assert told in here.refused("start", "echo", *words, code=2)
    assert here.runtime.store.find() == []


def test_a_task_has_its_name_or_the_last_part_of_it(cli: CommandLine) -> None:
    cli.said("start", "nothing")
    assert last(cli).task == "tests.zoo.nothing"
    assert "did you mean tests.zoo.nothing" in cli.refused("start", "nothign")
    assert "did you mean tests.zoo.nothing" in cli.refused("enqueue", "tests.zoo.nothin")


def test_what_is_enqueued_waits_as_it_is_told(cli: CommandLine) -> None:
    options = [
        "--queue",
        "mail",
        "--priority",
        "80",
        "--run-after",
        "10 minutes",
        "--owner",
        "bob",
        "--title",
        "Letters",
    ]
    row = json.loads(cli.said("enqueue", "echo", "a=1", *options, "--json"))
    assert {name: row[name] for name in ("task", "state", "queue", "priority", "owner", "title", "settings")} == {
        "task": "tests.zoo.echo",
        "state": "queued",
        "queue": "mail",
        "priority": 80,
        "owner": "bob",
        "title": "Letters",
        "settings": {"a": 1},
    }
    found = last(cli).run_after
    assert found is not None
    assert timedelta(minutes=9) < found - clock.now() < timedelta(minutes=11)
    again = [cli.said("enqueue", "nothing", "--unique", "only") for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (["enqueue", "echo", "--run-after", "soon"], "'soon' is no time", 2),
        (["enqueue", "echo", "--run-after", "2030-01-31T08:00"], "'2030-01-31T08:00' has no time zone", 2),
        (["enqueue", "echo", "--queue", "a:b"], "queue is 'a:b'", 2),
        (["enqueue", "echo", "--priority", "101"], "101 is not in the range", 2),
        (["enqueue", "PrivateTask"], "has private arguments", 1),
        (["start", "echo", '{"a": "' + "x" * 1_100_000 + '"}'], "settings", 1),
    ],
)
def test_what_may_not_be_is_one_line(here: CommandLine, words: list[str], told: str, code: int) -> None:
    assert told in here.refused(*words, code=code)


def test_whoever_waits_ends_as_the_task_does(cli: CommandLine) -> None:
    done = cli.run("start", "echo", "a=1", "--wait")
    assert (done.stdout, done.stderr) == ('{"a": 1}\n', f"{last(cli).id}\n")
    failed = cli.run("start", "fail", "--wait", code=10)
    assert failed.stderr.endswith(f"failed: Something went wrong while this was running. ({last(cli).reference})\n")
    assert json.loads(cli.run("start", "fail", "--wait", "--json", code=10).stdout)["cause"] == "exception"
    late = cli.run("enqueue", "echo", "--queue", "mail", "--wait", "--timeout", "0.01", code=4)
    assert f"it goes on: forktask follow {last(cli).id}" in late.stderr


def test_a_recurring_task_has_the_last_part_of_a_name_too(cli: CommandLine) -> None:
    assert cli.said("schedule", "add", "nothing", "--every", "60", "--name", "one") == "added one\n"
    entries = [{"task": "nothing", "every": "10 minutes", "name": "two"}]
    assert cli.said("schedule", "load", "-", stdin=json.dumps(entries)) == "added two\n"
    assert {row.task for row in cli.runtime.store.schedules()[0]} == {"tests.zoo.nothing"}
    assert "did you mean tests.zoo.nothing" in cli.refused("schedule", "add", "nothign", "--every", "60")
