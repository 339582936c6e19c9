"""`forktask cancel`, `pause`, `resume`, `retry`, `delete`, `purge` and `set-state`."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from forktask import clock
from forktask.cli import manner
from forktask.rows import StatusRow
from forktask.states import Cause, State
from tests.cli.conftest import CommandLine
from tests.cli.examples import a_completed, a_failed, a_running
from tests.store.examples import inserted


def state_of(cli: CommandLine, row: StatusRow) -> State | None:
    found = cli.runtime.store.get(row.id)
    return found.state if found is not None else None


def test_one_status_goes_through_its_states_by_command(cli: CommandLine) -> None:
    row = inserted(cli.runtime.store)
    for verb, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "cancelled"), ("retry", "queued")):
        assert cli.said(verb, str(row.id)) == f"{row.id}  {state}\n"
        assert state_of(cli, row) == state
    cli.said("cancel", str(row.id))
    assert cli.said("delete", str(row.id)) == f"{row.id}  deleted\n"
    assert state_of(cli, row) is None


def test_what_runs_is_asked(cli: CommandLine) -> None:
    row = a_running(cli.runtime.store)
    assert cli.said("pause", str(row.id)) == f"{row.id}  running, pause is asked for\n"
    assert cli.said("cancel", str(row.id)) == f"{row.id}  running, cancel is asked for\n"
    found = cli.runtime.store.get(row.id)
    assert found is not None
    assert found.cancel_requested_at is not None


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("resume", "cannot resume a status that is completed; it must be queued or running or paused"),
        ("retry", "cannot retry a status that is completed; it must be failed or cancelled or lost"),
        ("delete", "cannot delete a status that is queued; it must be completed or failed or cancelled or lost"),
    ],
)
def test_a_state_that_does_not_allow_it_says_which_do(cli: CommandLine, verb: str, told: str) -> None:
    row = inserted(cli.runtime.store) if verb == "delete" else a_completed(cli.runtime.store)
    assert cli.refused(verb, str(row.id), code=6) == f"{row.id}: {told}\n"


def test_many_are_counted_and_asked_for(cli: CommandLine) -> None:
    store = cli.runtime.store
    failed = [a_failed(store), a_failed(store)]
    other = inserted(store, state=State.CANCELLED)
    told = cli.refused("retry", "--task", "shop.ImportTask", code=2)
    assert "Retry 2 statuses (2 failed)? There is nobody to ask: say --yes" in told
    assert state_of(cli, failed[0]) is State.FAILED
    assert cli.said("retry", "--task", "shop.ImportTask", "--yes").count("queued") == 2
    assert [state_of(cli, row) for row in (*failed, other)] == [State.QUEUED, State.QUEUED, State.CANCELLED]
    assert json.loads(cli.said("cancel", "--state", "queued", "-y", "--json"))[0]["state"] == "cancelled"
    assert cli.run("pause", "--state", "queued", "--yes").stderr == "no status fits\n"
    assert json.loads(cli.said("pause", "--state", "queued", "--yes", "--json")) == []
    assert json.loads(cli.said("purge", "--older-than", "1", "--yes", "--json")) == {"deleted": 0}


def test_the_question_is_answered(here: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    row = inserted(here.runtime.store)
    monkeypatch.setattr(manner, "is_asked", lambda: True)
    assert "nothing was done" in here.run("cancel", "--state", "queued", code=1, stdin="n\n").stderr
    assert state_of(here, row) is State.QUEUED
    here.run("cancel", "--state", "queued", stdin="y\n")
    assert state_of(here, row) is State.CANCELLED


def test_ids_and_a_selection_are_not_for_the_same_command(here: CommandLine) -> None:
    assert "say which" in here.refused("cancel", code=2)
    assert "not both" in here.refused("cancel", "01", "--state", "queued", code=2)


def test_ids_come_from_standard_input(cli: CommandLine) -> None:
    rows = [inserted(cli.runtime.store) for _ in range(2)]
    lines = "".join(f"{row.id}  queued\n" for row in rows)
    assert cli.said("cancel", "-", stdin=lines) == "".join(f"{row.id}  cancelled\n" for row in rows)


def test_one_that_refuses_keeps_no_other_back(cli: CommandLine) -> None:
    done, waiting = a_completed(cli.runtime.store), inserted(cli.runtime.store)
    told = cli.run("cancel", str(done.id), str(waiting.id), code=6)
    assert "cannot cancel a status that is completed" in told.stderr
    assert told.stdout == f"{waiting.id}  cancelled\n"


def test_what_is_old_and_final_is_purged_with_all_its_parts(cli: CommandLine) -> None:
    store = cli.runtime.store
    long_ago = clock.now() - timedelta(days=40)
    old = inserted(store, state=State.COMPLETED, finished_at=long_ago)
    old_failure = inserted(store, state=State.FAILED, finished_at=long_ago)
    recent, waiting = a_failed(store), inserted(store)
    assert (
        "delete 1 status (1 completed)?"
        in cli.refused("purge", "--older-than", "30 days", "--state", "completed", code=2).lower()
    )
    assert cli.said("purge", "--older-than", "30 days", "--state", "completed", "--yes") == "1 deleted\n"
    assert [state_of(cli, row) for row in (old, old_failure)] == [None, State.FAILED]
    assert cli.said("purge", "--older-than", "0", "--yes") == "2 deleted\n"
    assert store.attempts(recent.id) == []
    assert state_of(cli, waiting) is State.QUEUED
    assert "cancel it first" in cli.refused("purge", "--older-than", "1 d", "--state", "queued", code=2)


def test_a_state_is_written_by_hand(cli: CommandLine) -> None:
    store = cli.runtime.store
    row = a_failed(store)
    told = cli.refused("set-state", str(row.id), "completed", code=2)
    assert "shop.ImportTask is failed. Completed: it counts as done" in told
    cli.said("set-state", str(row.id), "completed", "--yes")
    found = store.get(row.id)
    assert found is not None
    assert (found.state, found.percent, found.error, found.cause) == (State.COMPLETED, 100.0, None, None)
    assert found.finished_at == row.finished_at
    cli.said("set-state", str(row.id), "queued", "--yes")
    found = store.get(row.id)
    assert found is not None
    assert (found.state, found.attempt, found.finished_at) == (State.QUEUED, 2, None)
    cli.said("set-state", str(row.id), "failed", "--yes")
    assert "This was ended by hand." in cli.said("show", str(row.id))
    assert "cannot set to failed a status that is failed" in cli.refused(
        "set-state", str(row.id), "failed", "--yes", code=6
    )


def test_what_runs_is_set_by_force_only(cli: CommandLine) -> None:
    row = a_running(cli.runtime.store)
    told = cli.refused("set-state", str(row.id), "completed", "--yes", code=6)
    assert "it must be queued or failed or cancelled or lost; --force does it" in told
    assert cli.runtime.store.set_paused(row.id, 1, True)
    assert "status that is paused" in cli.refused("set-state", str(row.id), "completed", "--yes", code=6)
    assert "must be completed or failed" in cli.refused("set-state", str(row.id), "queued", "--yes", code=6)
    cli.said("set-state", str(row.id), "cancelled", "--yes", "--force")
    found = cli.runtime.store.get(row.id)
    assert found is not None
    assert (found.state, found.runner_pid) == (State.CANCELLED, None)


def test_what_was_never_stored_is_not_run_again(cli: CommandLine) -> None:
    row = inserted(cli.runtime.store, state=State.FAILED, cause=Cause.EXCEPTION, bound=1)
    for words in (("retry", str(row.id)), ("set-state", str(row.id), "queued", "--yes")):
        assert "initiate it again" in cli.refused(*words)


def test_a_second_one_of_its_kind_is_not_begun_again(cli: CommandLine) -> None:
    store = cli.runtime.store
    ended = inserted(store, state=State.FAILED, unique_key="k")
    living = inserted(store, unique_key="k")
    assert str(living.id) in cli.refused("retry", str(ended.id), code=6)
    assert str(living.id) in cli.refused("set-state", str(ended.id), "queued", "--yes", code=6)
