"""`forktask list` and `forktask show`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from forktask import clock, process
from forktask.rows import LogRow
from forktask.selection import first_id_at
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_completed, a_failed, a_running
from tests.runtimes import MakeRuntime
from tests.store.examples import a_supervisor, inserted


def listed(cli: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(cli.said("list", "--json", *arguments))["statuses"]
    return rows


def test_statuses_are_listed_the_newest_first(cli: CommandLine) -> None:
    store = cli.runtime.store
    old, new = inserted(store, queue="mail", owner="bob"), a_completed(store)
    head, first, second = cli.said("list").splitlines()
    assert head.split() == ["ID", "STATE", "TASK", "PROGRESS", "QUEUE", "OWNER", "ORDERED", "MESSAGE"]
    assert first.split()[:5] == [str(new.id), "completed", "shop.ImportTask", "100", "%"]
    assert second.split()[:5] == [str(old.id), "queued", "shop.ImportTask", "mail", "bob"]
    assert cli.said("list", "--ids").split() == [str(new.id), str(old.id)]
    assert cli.said("list", "--limit", "1", "--total").splitlines()[-1] == "2 in all"
    assert json.loads(cli.said("list", "--json", "--limit", "1", "--total"))["total"] == 2


def test_each_filter_keeps_what_it_says(cli: CommandLine) -> None:
    store = cli.runtime.store
    one = inserted(store, queue="mail", owner="bob", task="shop.Mail")
    failed = a_failed(store)
    wanted = {
        ("--state", "queued"): [one],
        ("--state", "failed", "--state", "lost"): [failed],
        ("--task", "shop.Mail"): [one],
        ("--queue", "mail"): [one],
        ("--owner", "bob"): [one],
        ("--owner", "eve"): [],
        ("--since", "1 hour"): [failed, one],
        ("--since", "2999-01-01"): [],
    }
    found = {words: [row["id"] for row in listed(cli, *words)] for words in wanted}
    assert found == {words: [str(row.id) for row in rows] for words, rows in wanted.items()}


def test_since_goes_by_when_it_was_ordered(here: CommandLine) -> None:
    inserted(here.runtime.store, id=first_id_at(clock.now() - timedelta(hours=2)))
    recent = inserted(here.runtime.store)
    assert len(listed(here)) == 2
    moment = (clock.now() - timedelta(minutes=1)).isoformat()
    assert [row["id"] for row in listed(here, "--since", moment)] == [str(recent.id)]


def test_what_nobody_watches_over_any_more_is_lost_when_it_is_looked_at(cli: CommandLine) -> None:
    store = cli.runtime.store
    me = process.identify()
    dead = a_supervisor(boot_id=me.boot_id, pid_namespace=me.pid_namespace, pid=me.pid, start_ticks=1)
    store.register(dead)
    row = a_running(store, dead)
    assert listed(cli, "--state", "running") == []
    assert [one["id"] for one in listed(cli, "--state", "lost")] == [str(row.id)]


def test_more_rows_than_one_look_reads_are_listed(here: CommandLine) -> None:
    store = here.runtime.store
    for _ in range(7):
        inserted(store)
    from forktask.operations import looking

    before, looking.AT_ONCE = looking.AT_ONCE, 3  # type: ignore[misc]
    try:
        assert len(here.said("list", "--ids", "--limit", "0").split()) == 7
        assert len(here.said("list", "--ids", "--limit", "5").split()) == 5
    finally:
        looking.AT_ONCE = before  # type: ignore[misc]


def test_a_status_is_shown_with_attempts_output_and_traceback(cli: CommandLine) -> None:
    store = cli.runtime.store
    row = a_failed(store, settings={"path": "a.csv", "password": "geheim"}, queue="mail")
    pieces = [
        LogRow(status_id=row.id, attempt=1, position=number, at=clock.now(), level=level, logger=None, text=text)
        for number, (level, text) in enumerate([(None, "one\ntwo\n"), ("WARNING", "three\n")])
    ]
    store.save([], [], pieces)
    told = cli.said("show", "K7QX-3MFA", "--log", "2")
    assert f"id          {row.id}" in told
    assert "state       failed (exception)" in told
    assert '"password": "***"' in told
    assert "  ValueError: no header\n" in told
    assert "1.5 s of CPU  64 MiB at most  K7QX-3MFA" in told
    assert told.endswith("\n\ntwo\nWARNING three\n")
    assert "geheim" in cli.said("show", str(row.id), "--with-secrets")
    parts = json.loads(cli.said("show", str(row.id)[:20], "--json"))
    assert (parts["status"]["settings"]["password"], parts["status"]["state"]) == ("***", "failed")
    assert parts["attempts"][0]["traceback"].endswith("no header")
    assert [piece["text"] for piece in parts["log"]] == ["one\ntwo\n", "three\n"]


def test_an_id_that_is_none_suggests_near_ones_and_a_beginning_of_several_names_them(cli: CommandLine) -> None:
    store = cli.runtime.store
    one, other = inserted(store), inserted(store)
    text = str(one.id)
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert f"no status has the id {wrong}; did you mean {one.id}" in cli.refused("show", wrong, code=5)
    misread = text[:3] + ("0" if text[3] != "0" else "1") + text[4:]
    assert str(one.id) in cli.refused("show", misread, code=5)
    told = cli.refused("show", text[:2], code=5)
    assert f"several ids begin with {text[:2]}: {one.id}, {other.id}" in told
    assert "no status has the id zzz" in cli.refused("show", "zzz", code=5)


def test_times_are_local_or_utc(here: CommandLine) -> None:
    row = inserted(here.runtime.store)
    utc = f"{row.created_at:%Y-%m-%d %H:%M:%S}"
    assert utc in here.said("list", "--utc")
    assert f"{utc} UTC" in here.said("show", "--utc", str(row.id))
    local = f"{row.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
    assert local in here.said("list")


def test_a_looker_starts_nothing(make_runtime: MakeRuntime) -> None:
    cli = CommandLine(make_runtime())
    cli.runtime.store.create_tables()
    inserted(cli.runtime.store, task="tests.zoo.nothing", created_at=clock.now() - timedelta(hours=1))
    assert listed(cli, "--state", "queued")
    assert not list(Path(cli.runtime.settings.runtime_dir).glob("*.lock"))
