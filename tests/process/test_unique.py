"""At most one lives: by settings, owner or key; joined, refused or replaced, however many ask at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forktask import LiveStatus, SettingsError, State, StateError, Task, TaskStatus
from forktask.errors import DuplicateError
from forktask.runtime import Runtime
from tests import zoo
from tests.runtimes import MakeRuntime, ended, wait_for, wait_message

LATER = zoo.nothing.using(run_after="+1 h")

RACE = """
import os, sys
from concurrent.futures import ThreadPoolExecutor
from tests import zoo

task = zoo.nothing.using(unique="nightly", on_conflict=sys.argv[1], run_after="+1 h")
for _ in range(3):
    if os.fork() == 0:
        break
os.write(1, b"ready\\n")  # in one piece, beside those of the others
sys.stdin.read()
with ThreadPoolExecutor(4) as threads:
    ids = threads.map(lambda number: task.enqueue({"n": number}).id, range(12))
os.write(1, " ".join({str(one) for one in ids}).encode() + b"\\n")
"""


class NightlyTask(Task):
    """One at a time of each owner."""

    unique = "owner"
    on_conflict = "refuse"

    def execute(self, status: LiveStatus) -> None:
        return


def test_by_settings_the_order_of_their_keys_says_nothing(own_runtime_each: Runtime) -> None:
    task = LATER.using(unique="settings")
    first = task.enqueue({"a": 1, "b": [2]}, owner="7")
    assert task.enqueue({"b": [2], "a": 1}, owner="8").id == first.id
    assert task.enqueue({"a": 1, "b": [3]}).id != first.id
    assert LATER.enqueue({"a": 1, "b": [2]}).id != first.id
    assert zoo.echo.using(unique="settings", run_after=60).enqueue({"a": 1, "b": [2]}).id != first.id


def test_by_owner_and_by_key(own_runtime: Runtime) -> None:
    first = NightlyTask.using(run_after=60).enqueue({"a": 1}, owner="7")
    with pytest.raises(DuplicateError, match=f"NightlyTask is unique: status {first.id}"):
        NightlyTask.enqueue({"a": 2}, owner="7")
    with pytest.raises(StateError):
        NightlyTask.initiate(owner="7")
    assert NightlyTask.using(run_after=60).enqueue(owner="8").id != first.id
    with pytest.raises(SettingsError, match="owner is missing: the task is unique for each owner"):
        NightlyTask.enqueue()
    keyed = LATER.using(unique="month 5").enqueue({"a": 1})
    assert LATER.using(unique="month 5").enqueue({"a": 2}).id == keyed.id
    assert LATER.using(unique="month 6").enqueue({"a": 1}).id != keyed.id


def test_initiate_joins_what_runs_and_starts_anew_after_its_end(runtime_each: Runtime, tmp_path: Path) -> None:
    task, go = zoo.wait.using(unique="settings"), tmp_path / "go"
    first = wait_message(task.initiate({"path": str(go)}), "waiting")
    joined = task.initiate({"path": str(go)})
    assert (joined.id, joined.state) == (first.id, State.RUNNING)
    go.touch()
    ended(joined)
    again = ended(task.initiate({"path": str(go)}))
    assert (again.state, again.id != first.id) == (State.COMPLETED, True)


def test_a_new_one_ends_the_one_that_runs(runtime_each: Runtime, tmp_path: Path) -> None:
    task, go = zoo.wait_and_report.using(unique="one", on_conflict="replace"), tmp_path / "go"
    first = wait_message(task.initiate({"path": str(go)}), "waiting")
    second = task.initiate({"path": str(go), "second": True})
    assert second.id != first.id
    assert ended(first).state is State.CANCELLED
    with pytest.raises(StateError):
        task.using(on_conflict="refuse").initiate({"path": str(go)})
    go.touch()
    assert ended(second).state is State.COMPLETED


def test_until_started_one_runs_and_one_waits(runtime: Runtime, tmp_path: Path) -> None:
    task, go = zoo.wait.using(unique="one", unique_until="started"), tmp_path / "go"
    first = wait_message(task.initiate({"path": str(go)}), "waiting")
    second = task.using(run_after=0.5).enqueue({"path": str(go)})
    assert second.id != first.id
    assert task.using(run_after=60).enqueue({"path": str(go)}).id == second.id
    wait_for(second, lambda one: one.is_running)
    go.touch()
    assert (ended(first).state, ended(second).state) == (State.COMPLETED, State.COMPLETED)


def test_a_retry_is_refused_while_another_like_it_lives(own_runtime: Runtime) -> None:
    task = zoo.fail.using(unique="one")
    first = ended(task.initiate())
    other = task.using(run_after=60).enqueue()
    with pytest.raises(DuplicateError, match=f"status {other.id} like this one is queued"):
        first.retry()
    other.cancel()
    first.retry()
    ended(first)


@pytest.mark.parametrize("on_conflict", ["join", "replace"])
def test_of_many_processes_and_threads_at_once_one_lives(make_runtime_each: MakeRuntime, on_conflict: Any) -> None:
    runtime = make_runtime_each(start_method="inline")
    runtime.store.create_tables()
    environment = {"FORKTASK_DATABASE_URL": runtime.store.url, "FORKTASK_START_METHOD": "inline", "PATH": "/bin"}
    command = [sys.executable, "-c", RACE, on_conflict]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as racers:
        assert racers.stdout is not None
        assert [racers.stdout.readline() for _ in range(4)] == ["ready\n"] * 4
        told = racers.communicate()[0].splitlines()
    assert len(told) == 4
    ids = {word for line in told for word in line.split()}
    (living,) = TaskStatus.find(state=State.QUEUED)
    assert str(living.id) in ids
    assert len(ids) == len(TaskStatus.find()) == (48 if on_conflict == "replace" else 1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unique": ""}, "unique is ''; it is 'settings', 'owner' or any other text"),
        ({"unique": 5}, "unique is 5"),
        ({"unique_until": "done"}, "unique_until is 'done'; it is 'final' or 'started'"),
        ({"on_conflict": "skip"}, "on_conflict is 'skip'; it is 'join' or 'refuse' or 'replace'"),
        ({"require_worker": 1}, "require_worker is 1; it is True or False"),
        ({"delete_on_completion": "yes"}, "delete_on_completion is 'yes'"),
        ({"inline_below": "5"}, "inline_below is '5'; it is a number or None"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        zoo.nothing.using(**options)
    with pytest.raises(TypeError, match=f"WrongTask: {said}"):
        type("WrongTask", (Task,), {"execute": lambda self, status: None, **options})
