"""A checker that cannot fail proves nothing: each violation, planted, is found, and what is right is let pass."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.soak.deeds import Deeds
from tests.soak.journal import VARIABLE, Journal, Writer, journaled
from tests.soak.planted import ALIVE, DONE, END, ROW, SUPERVISOR, broken, moment, write
from tests.soak.processes import Process, read, runs
from tests.soak.rules_causes import Causes
from tests.soak.rules_journal import Results, Runs
from tests.soak.rules_processes import Apart, Bystanders, Kin, OneSupervisor
from tests.soak.rules_rows import Ends, Moves, Places, Truth
from tests.soak.snapshot import Row
from tests.waiting import wait_until

QUEUED = ROW._replace(state="queued", runner_pid=None, percent=None)
FAILED = DONE._replace(state="failed", cause="exception", result=None)


@pytest.mark.parametrize(
    ("before", "after", "invariant"),
    [
        (DONE, QUEUED._replace(attempt=2), "allowed moves"),
        (DONE, FAILED, "allowed moves"),
        (FAILED, DONE, "allowed moves"),
        (FAILED, QUEUED, "allowed moves"),
        (ROW._replace(attempt=2), ROW, "attempts only grow"),
        (ROW, ROW._replace(percent=9.0), "percent grows within an attempt"),
        (ROW, ROW._replace(percent=None), "percent grows within an attempt"),
        (ROW, ROW._replace(attempt=4), "attempts"),
    ],
)
def test_a_forbidden_move_is_found(before: Row, after: Row, invariant: str) -> None:
    assert broken(Moves(), moment(0, before), moment(1, after)) == [invariant]


@pytest.mark.parametrize(
    "course",
    [
        [QUEUED, ROW, ROW._replace(state="paused"), ROW._replace(percent=50.0), DONE],
        [ROW, QUEUED._replace(attempt=2, percent=10.0), ROW._replace(attempt=2, percent=None), DONE],
        [FAILED, ROW._replace(attempt=3, percent=1.0)],
        [QUEUED, QUEUED._replace(state="paused"), QUEUED],
    ],
)
def test_an_allowed_course_passes(course: list[Row]) -> None:
    rows = [row._replace(attempt=max(row.attempt, before.attempt)) for before, row in zip(course, course, strict=True)]
    assert broken(Moves(), *(moment(at, row) for at, row in enumerate(rows[:-1]))) == []


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"ends": [END]}, {"ends": [END._replace(cause="signal")]}),
        ({"ends": []}, {"ends": []}),
        ({"ends": [END._replace(state="failed", cause="signal")]}, {}),
        ({"ends": [END, END._replace(attempt=2)]}, {}),
    ],
    ids=["changed", "missing", "another", "too many"],
)
def test_a_wrong_end_is_found(first: dict[str, Any], then: dict[str, Any]) -> None:
    looks = [moment(0, DONE, **first), moment(1, DONE, **(then or first))]
    assert set(broken(Ends(), *looks)) == {"one end per attempt"}


def test_an_end_of_what_still_runs_is_found() -> None:
    assert broken(Ends(), moment(0, ROW, ends=[END])) == ["one end per attempt"]


def test_output_after_the_end_is_found() -> None:
    key = ("a", 1)
    looks = [moment(at, DONE, ends=[END], logs={key: count}) for at, count in enumerate([3, 3, 4])]
    assert broken(Ends(), *looks) == ["old attempts write nothing"]


def test_a_row_without_a_live_supervisor_is_found_after_a_grace() -> None:
    looks = [moment(at, ROW, table={20: ALIVE[20]}) for at in (0.0, 9.0, 11.0, 12.0)]
    assert broken(Truth(), *looks[:2]) == []
    assert broken(Truth(), *looks) == ["a live supervisor, or lost"]


def test_a_reused_pid_is_no_live_supervisor() -> None:
    table = {10: ALIVE[10]._replace(ticks=101)}
    assert broken(Truth(), *(moment(at, ROW, table=table) for at in (0.0, 11.0))) == ["a live supervisor, or lost"]


def test_a_row_without_its_runner_is_found_unless_the_supervisor_was_stopped() -> None:
    gone = {10: ALIVE[10]}
    stopped = {10: ALIVE[10]._replace(state="T")}
    name = "a supervisor sees the end of its runner"
    assert broken(Truth(), *(moment(at, ROW, table=gone) for at in (0.0, 11.0))) == [name]
    assert broken(Truth(), *(moment(at, ROW, table=stopped) for at in (0.0, 11.0))) == []


def test_too_many_attempts_under_way_are_found() -> None:
    rows = [ROW._replace(id=str(number)) for number in range(3)]
    ended = ROW._replace(id="ended, and the table does not say so yet", runner_pid=99)
    assert broken(Places(3), moment(0, *rows, ended)) == []
    assert broken(Places(2), moment(0, *rows), moment(1, *rows)) == ["MAX_RUNNING"]


def look_at_journal(folder: Path, *events: tuple[Any, ...], most: int = 9, row: Row = ROW) -> list[str]:
    write(folder, *events)
    rule = Runs(Journal(folder), most, is_running=lambda process: True)
    rule.read()
    return broken(rule, moment(0, row))


def test_the_journal_proves_two_at_a_time(tmp_path: Path) -> None:
    row = ROW._replace(attempt=2)
    assert look_at_journal(tmp_path, ("begin", 1, 20), ("begin", 2, 21), row=row) == ["no two at a time"]


def test_the_journal_proves_that_an_attempt_ran_twice(tmp_path: Path) -> None:
    assert look_at_journal(tmp_path, ("begin", 1, 20), ("end", 1, 20), ("begin", 1, 21)) == ["an attempt runs once"]


def test_the_journal_proves_a_process_without_a_row(tmp_path: Path) -> None:
    assert look_at_journal(tmp_path, ("begin", 1, 20), row=ROW._replace(id="b")) == ["the row first, then the process"]


def test_the_journal_proves_an_attempt_ahead_of_its_row(tmp_path: Path) -> None:
    assert look_at_journal(tmp_path, ("begin", 2, 20)) == ["the row first, then the process"]


def test_the_journal_proves_too_many_at_once(tmp_path: Path) -> None:
    assert look_at_journal(tmp_path, ("begin", 1, 20), most=0) == ["MAX_RUNNING"]


def test_who_begins_tells_that_an_earlier_attempt_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with subprocess.Popen(["sleep", "600"]) as child:
        Writer("a", 1).child(child.pid)
        with journaled("a", 2):
            pass
        child.kill()
        process = read(child.pid)
        assert process is not None
        wait_until(lambda: not runs(process.process), what="its end")
        with journaled("a", 3):
            pass
    rule = Runs(Journal(tmp_path), 9)
    rule.read()
    assert broken(rule, moment(0, ROW._replace(attempt=3))) == ["no two at a time"]


@pytest.mark.parametrize(
    ("row", "invariant"),
    [
        (DONE._replace(result={"attempt": 2}), "old attempts write nothing"),
        (DONE._replace(percent=99.0), "completed is 100 %"),
        (DONE._replace(attempt=2, result={"attempt": 2}), "completed needs the word done"),
    ],
)
def test_a_wrong_completion_is_found(tmp_path: Path, row: Row, invariant: str) -> None:
    write(tmp_path, ("begin", 1, 20), ("end", 1, 20))
    journal = Journal(tmp_path)
    journal.read()
    assert broken(Results(journal), moment(0, DONE), moment(1, DONE)) == []
    assert broken(Results(journal), moment(0, row), moment(1, row)) == [invariant]


def test_a_row_that_names_another_runner_is_found(tmp_path: Path) -> None:
    write(tmp_path, ("begin", 1, 21))
    journal = Journal(tmp_path)
    journal.read()
    assert broken(Results(journal), moment(0, ROW)) == ["the row names its runner"]


CAUSES = ["exception", "exit", "signal", "out_of_memory", "timeout", "cancelled", "interrupted", "launch"]


@pytest.mark.parametrize("cause", [*CAUSES, "supervisor_gone", "something else", None])
def test_an_end_without_a_reason_is_found(tmp_path: Path, cause: str | None) -> None:
    row = FAILED._replace(cause=cause)
    end = END._replace(state="failed", cause=cause, signal=9)
    assert broken(Causes(Journal(tmp_path), Deeds()), moment(0, row, ends=[end])) == ["a row tells why"]


def test_an_end_with_its_reason_passes(tmp_path: Path) -> None:
    deeds = Deeds()
    deeds.signal(Process(20, 200), signal.SIGKILL)
    deeds.signal(SUPERVISOR.process, signal.SIGTERM)
    deeds.order("a", "cancel")
    for cause in ("signal", "interrupted", "cancelled"):
        end = END._replace(state="failed", cause=cause, signal=9)
        assert broken(Causes(Journal(tmp_path), deeds), moment(0, FAILED, ends=[end])) == []


def test_a_task_that_asks_for_another_may_find_the_database_away(tmp_path: Path) -> None:
    deeds, row = Deeds(), FAILED._replace(task="shop.Parent", cause="exception")
    error = "forktask.store.failures.StoreUnavailableError"
    looks = [moment(0, row, ends=[END._replace(state="failed", cause="exception", error_class=error)])]
    assert broken(Causes(Journal(tmp_path), deeds), *looks) == ["a row tells why"]
    deeds.outages += 1
    assert broken(Causes(Journal(tmp_path), deeds), *looks) == []


def test_a_gap_in_the_numbers_of_attempts_is_found(tmp_path: Path) -> None:
    deeds, journal = Deeds(), Journal(tmp_path)
    row = DONE._replace(attempt=2)
    looks = [moment(0, row, ends=[END._replace(attempt=2)])]
    assert broken(Causes(journal, deeds), *looks) == ["attempts without gaps"]
    deeds.order("a", "cancel")
    assert broken(Causes(journal, deeds), *looks) == [], "it may have been cancelled before it began"
    write(tmp_path, ("begin", 1, 20))
    journal.read()
    assert broken(Causes(journal, deeds), *looks) == ["attempts without gaps"]


def test_a_cancel_that_nobody_asked_for_is_found(tmp_path: Path) -> None:
    row = DONE._replace(state="cancelled", cause="cancelled")
    assert "a row tells why" in broken(Causes(Journal(tmp_path), Deeds()), moment(0, row))


def test_a_process_that_is_nobodys_is_found() -> None:
    table = {**ALIVE, 30: ALIVE[20]._replace(pid=30, parent=1)}
    looks = [moment(at, table=table, marked=set(table)) for at in (0.0, 11.0)]
    assert broken(Kin(str), *looks) == ["every process is somebody's"]
    assert broken(Kin(str), *(moment(at, table=table, marked=set(table), web={30}) for at in (0.0, 11.0))) == []


def test_a_zombie_is_found_unless_its_parent_was_stopped() -> None:
    zombie = ALIVE[20]._replace(state="Z")
    for state, expected in (("S", ["no zombies"]), ("T", [])):
        table = {10: ALIVE[10]._replace(state=state), 20: zombie}
        assert broken(Kin(str), *(moment(at, table=table) for at in (0.0, 11.0))) == expected


def test_two_supervisors_of_one_version_are_found_unless_one_was_told_to_end() -> None:
    table = {10: ALIVE[10], 11: ALIVE[10]._replace(pid=11), 20: ALIVE[20]}
    looks = [moment(at, table=table, marked=set(table)) for at in (0.0, 11.0)]
    deeds = Deeds()
    command = "python -m forktask supervisor n"
    assert broken(OneSupervisor(deeds, lambda pid: command), *looks) == ["one supervisor for each version"]
    deeds.signal(SUPERVISOR.process, signal.SIGTERM)
    assert broken(OneSupervisor(deeds, lambda pid: command), *looks) == []


def test_a_socket_of_the_web_server_in_another_process_is_found() -> None:
    opened = {10: ["socket:[1]", "pipe:[5]"], 20: ["socket:[2]", "pipe:[5]"], 30: ["socket:[1]"]}
    table = {**ALIVE, 30: ALIVE[10]._replace(pid=30)}
    looks = [moment(at, table=table, marked=set(table), web={30}) for at in (0.0, 11.0)]
    assert broken(Apart(lambda pid: opened[pid]), *looks) == ["nothing of the web server reaches a runner"]
    opened[10] = ["pipe:[5]"]
    assert broken(Apart(lambda pid: opened[pid]), *looks) == []


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as one:
        yield one.pid
        one.kill()


def test_a_stranger_that_heard_a_signal_is_found(sleeper: int) -> None:
    assert broken(Bystanders(lambda: {sleeper: ""}), moment()) == []
    assert broken(Bystanders(lambda: {sleeper: "signal 15"}), moment(), moment()) == ["no signal to a stranger"]


def test_a_process_that_was_killed_runs_no_more_although_it_is_there(sleeper: int) -> None:
    seen = read(sleeper)
    assert seen is not None
    assert runs(seen.process)
    assert not runs(Process(sleeper, seen.ticks + 1))
    os.kill(sleeper, signal.SIGKILL)
    wait_until(lambda: not runs(seen.process), what="its end")
    assert read(sleeper) is not None, "a zombie until it is waited for"
