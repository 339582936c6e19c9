"""`wait` wakes at the end, by a word of the supervisor, and not at its next look."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from forktask import process
from forktask.runtime import Runtime
from forktask.start import waiting
from forktask.states import State
from tests import zoo
from tests.runtimes import PATIENCE, the_supervisor, wait_message

BEYOND_SELECT = 1024


@pytest.fixture(autouse=True)
def _never_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "LOOK_INTERVAL", 10 * PATIENCE)


def test_who_waits_is_told_of_the_end(runtime_each: Runtime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    waiters = [Thread(target=status.wait, args=(2 * PATIENCE,), daemon=True) for _ in range(3)]
    for thread in waiters:
        thread.start()
    go.touch()
    for thread in waiters:
        thread.join(PATIENCE)
    assert [thread.is_alive() for thread in waiters] == [False] * 3
    assert status.state is State.COMPLETED


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Have so many descriptors open that the next ones are beyond what select() takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, BEYOND_SELECT * 2), hard))
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < BEYOND_SELECT:
        opened.append(os.dup(opened[0]))
    yield
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_waits_in_a_process_with_many_descriptors_is_told_of_the_end(
    runtime: Runtime, many_descriptors: None, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    status = zoo.wait.initiate({"path": str(go)})
    wait_message(status, "waiting")
    waiter = Thread(target=status.wait, args=(2 * PATIENCE,), daemon=True)
    waiter.start()
    go.touch()
    waiter.join(PATIENCE)
    assert status.state is State.COMPLETED


def test_who_comes_after_the_end_does_not_wait(runtime: Runtime) -> None:
    status = zoo.nothing.initiate()
    assert status.wait(PATIENCE).state is State.COMPLETED
    assert status.wait(2 * PATIENCE).state is State.COMPLETED


def test_a_wait_ends_in_time_if_the_task_does_not(runtime: Runtime) -> None:
    status = zoo.wait.initiate({"path": "/nowhere"})
    assert not status.wait(0).is_final
    assert not status.wait(0.2).is_final
    status.cancel()
    assert status.wait(PATIENCE).state is State.CANCELLED


def test_who_waits_when_the_supervisor_dies_is_told(own_runtime: Runtime) -> None:
    status = zoo.wait.initiate({"path": "/nowhere"})
    wait_message(status, "waiting")
    waiter = Thread(target=status.wait, args=(2 * PATIENCE,), daemon=True)
    waiter.start()
    process.send_signal(the_supervisor(own_runtime.store), signal.SIGKILL)
    waiter.join(PATIENCE)
    assert status.state is State.LOST
