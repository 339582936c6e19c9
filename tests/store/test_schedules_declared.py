"""What the code declares stands in the table, and what it no longer declares stops."""

from __future__ import annotations

import pytest

from forktask import clock
from forktask.schedule import changes
from forktask.schedule.changes import Source
from forktask.store import Store
from forktask.supervisor.schedules import Schedules
from tests.store.forking import forked
from tests.store.recurring import (
    MINUTE,
    SHOP,
    declare_here,
    entered,
    found,
    look,
    passed,
    runs,
    said,
)


def test_a_row_says_what_was_declared(store: Store) -> None:
    made = said(settings={"a": [1, 2.5]}, owner="bob", jitter=60, overlap="queue", start=clock.after(60))
    row = entered(store, made)
    assert {name: getattr(row, name) for name in made.values()} == made.values()
    assert row.due_at == row.anchor_at == made.start_at
    assert changes.changes(row, made, SHOP, clock.now()) == {}


def test_what_the_code_declares_stands_in_the_table(store: Store) -> None:
    declare_here(said("one"), said("two", every=60))
    look(store, SHOP)
    rows, _ = store.schedules()
    assert [(row.name, row.application, row.every) for row in rows] == [
        ("one", "shop:app", 3600),
        ("two", "shop:app", 60),
    ]


def test_what_is_no_longer_declared_stops_and_goes_on_when_it_is_declared_again(store: Store) -> None:
    declare_here(said("one"), said("two"))
    look(store, SHOP)
    anchor = found(store, "two").anchor_at
    declare_here(said("one"))
    look(store, Source(application="shop:app", version="2"))
    gone = passed(store, found(store, "two"), 300 * MINUTE)
    assert (gone.next_at, gone.version) == (None, "1")
    assert gone.withdrawn_at is not None
    declare_here(said("one"), said("two"))
    look(store, Source(application="shop:app", version="1"))
    again = found(store, "two")
    assert again.withdrawn_at is None
    assert again.anchor_at == anchor - 300 * MINUTE
    assert again.due_at == again.anchor_at + 360 * MINUTE, "what was due meanwhile was not declared"


def test_what_a_command_added_or_another_application_declares_stays(store: Store) -> None:
    entered(store, said("added"), Source())
    entered(store, said("theirs"), Source(application="other:app", version="1"))
    declare_here()
    look(store, SHOP)
    assert found(store, "added").next_at is not None
    assert found(store, "theirs").next_at is not None


def test_a_supervisor_that_goes_on_does_not_undo_what_a_newer_version_said(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_here(said("one"))
    old = Schedules(store, SHOP)
    old.look()
    declare_here(said("one", every=60), said("two"))
    look(store, Source(application="shop:app", version="2"))
    declare_here(said("one"))
    begin = clock.monotonic()
    for hours in (1, 2):  # the clock of the database seems to have been set back
        monkeypatch.setattr("forktask.clock.monotonic", lambda hours=hours: begin + hours * 3600)
        old.look()
    assert (found(store, "one").every, found(store, "two").withdrawn_at) == (60, None)


def test_code_that_could_not_be_imported_withdraws_nothing(store: Store) -> None:
    entered(store, said("one"))
    declare_here()
    look(store, None)
    assert found(store, "one").withdrawn_at is None


def test_another_rule_counts_from_now_and_other_settings_change_no_time(store: Store) -> None:
    declare_here(said("one"))
    look(store, SHOP)
    row = found(store, "one")
    declare_here(said("one", settings={"a": 1}))
    look(store, SHOP)
    assert (found(store, "one").settings, found(store, "one").due_at) == ({"a": 1}, row.due_at)
    declare_here(said("one", every="10 minutes"))
    look(store, SHOP)
    assert found(store, "one").due_at == row.anchor_at + 10 * MINUTE


def test_eight_processes_declare_the_same(url: str, store: Store) -> None:
    declare_here(*(said(f"task {number}") for number in range(20)))

    def enter() -> str:
        look(Store(url), SHOP)
        return "entered"

    forked([enter] * 8)
    assert len(store.schedules()[0]) == 20


def test_a_pause_holds_and_nothing_is_made_up_for(store: Store) -> None:
    row = entered(store, said(missed="all", overlap="parallel"))
    assert store.change_schedule(row, changes.paused(row, row.created_at))
    declare_here(said(missed="all", overlap="parallel", every="10 minutes"))
    look(store, SHOP)
    paused = passed(store, found(store), 600 * MINUTE)
    assert (paused.next_at, paused.every) == (None, 600)
    look(store)
    assert runs(store) == []
    assert store.change_schedule(paused, changes.resumed(paused, store.schedules()[1]))
    look(store)
    assert runs(store) == []
    assert found(store).due_at == paused.anchor_at + 610 * MINUTE


def test_a_rule_that_this_version_does_not_know_keeps_no_other_from_running(store: Store) -> None:
    odd, plain = entered(store, said("odd")), entered(store, said("plain"))
    assert store.change_schedule(odd, {"every": None, "updated_at": clock.now()})
    passed(store, found(store, "odd"), 90 * MINUTE)
    passed(store, plain, 61 * MINUTE)
    look(store)
    assert len(runs(store)) == 1
