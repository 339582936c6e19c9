"""What a shell completes beside commands and options."""

from __future__ import annotations

import sys
from uuid import UUID

import click
import pytest
from click.shell_completion import ShellComplete

from forktask.cli import completion, group
from forktask.cli.completion import rejoined
from forktask.rows import StatusRow, new_id
from forktask.states import State
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_completed, a_failed, a_living_supervisor
from tests.store.examples import inserted


def completed(*words: str) -> list[str]:
    """Return what is offered for the last word."""
    *before, incomplete = words
    shell = ShellComplete(group, {}, "forktask", "_FORKTASK_COMPLETE")
    return [item.value for item in shell.get_completions(before, incomplete)]


def test_ids_are_completed_in_states_that_the_command_takes_the_newest_first(cli: CommandLine) -> None:
    store = cli.runtime.store
    failed, done, waits = (str(row.id) for row in (a_failed(store), a_completed(store), inserted(store)))
    assert completed("show", "") == [waits, done, failed]
    assert completed("follow", done, "") == [waits, done, failed]
    assert completed("cancel", "") == [waits]
    assert completed("retry", "") == [failed]
    assert completed("delete", failed, "") == [done, failed]
    assert completed("show", done[:-1]) == [done]
    assert completed("show", done) == [done]
    assert completed("show", "f" * 32) == completed("show", "K7QX") == []


def test_an_old_id_is_completed_behind_many_new_ones(here: CommandLine) -> None:
    old = inserted(here.runtime.store, id=UUID("00000000-1111-7222-8333-444444444444"))
    rows: list[StatusRow] = [inserted(here.runtime.store) for _ in range(completion.MOST + 1)]
    assert completed("show", "0000") == [str(old.id)]
    assert len(completed("show", str(rows[0].id)[:3])) == completion.MOST


def test_names_of_tasks_are_completed_whole_or_by_their_last_part(
    here: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert completed("start", "tests.zoo.noth") == ["tests.zoo.nothing"]
    assert completed("start", "noth") == completed("list", "--task", "noth") == ["nothing"]
    monkeypatch.setattr("forktask.registry._tasks", {})
    inserted(here.runtime.store, task="shop.Mail")
    assert completed("list", "--task", "") == ["shop.Mail"]


def test_names_of_what_there_is_are_completed(cli: CommandLine) -> None:
    store = cli.runtime.store
    inserted(store, queue="mail", state=State.QUEUED)
    store.pause_queue("reports")
    worker = a_living_supervisor(store, id=new_id())
    cli.said("schedule", "add", "nothing", "--every", "60", "--name", "nightly")
    assert completed("pause-queue", "") == ["mail", "reports"]
    assert completed("worker", "--queue", "r") == ["reports"]
    assert completed("schedule", "pause", "ni") == ["nightly"]
    assert completed("supervisors", "stop", "") == [str(worker.pid)]


def test_what_cannot_be_had_completes_nothing_and_says_nothing(
    here: CommandLine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    inserted(here.runtime.store)
    with monkeypatch.context() as away:
        away.setattr(here.runtime.store.database, "url", here.runtime.store.database.url.set(database="/nowhere/x"))
        assert completed("show", "") == []
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert completed("--app", "nowhere_to_be_found:app", "show", "") == []

    def broken() -> None:
        click.echo("hello")
        raise SystemExit(3)

    monkeypatch.setattr("forktask.cli.completion.source", broken)
    assert completed("show", "") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["--app", "shop", ":", "app", "show"], ["--app", "shop:app", "show"]),
        (["--app", "=", "shop", ":", "app"], ["--app", "shop:app"]),
        (["list", "--state", "="], ["list", "--state"]),
        (["start", "Report", "year", "=", "2026", "a", "=", "b"], ["start", "Report", "year=2026", "a=b"]),
        ([":"], [":"]),
    ],
)
def test_words_that_bash_takes_apart_are_put_together(words: list[str], meant: list[str]) -> None:
    assert rejoined(words) == meant
