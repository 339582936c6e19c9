"""The nursery: a quiet process that forks the runners, which are children of the supervisor all the same."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from forktask import process
from forktask.identity import Identity
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from forktask.supervisor.nursery import AT_ONCE, strays
from tests import zoo
from tests.runtimes import (
    PATIENCE,
    MakeRuntime,
    ended,
    gone,
    nursery_of,
    runner_of,
    runners_of,
    supervisor_of,
    the_supervisor,
    wait_message,
)
from tests.waiting import wait_until


def waiting_task(go: Path) -> TaskStatus:
    return wait_message(zoo.wait.initiate({"path": str(go)}), "waiting")


def there(supervisor: Identity, *, other_than: psutil.Process | None = None) -> psutil.Process:
    def found() -> psutil.Process | None:
        one = nursery_of(supervisor)
        return None if one == other_than else one

    one = wait_until(found, PATIENCE, "a nursery")
    assert one is not None
    return one


def log_of(runtime: Runtime) -> str:
    return "".join(path.read_text() for path in Path(runtime.settings.runtime_dir).glob("*.log"))


def open_in(pid: int) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return sorted(name.partition(":")[0] for name in found)


def test_a_supervisor_has_one_nursery_for_all_runners_and_it_ends_with_it(own_runtime: Runtime, tmp_path: Path) -> None:
    statuses = [waiting_task(tmp_path / "go") for _ in range(5)]
    supervisor = the_supervisor(own_runtime.store)
    nursery = there(supervisor)
    assert psutil.Process(runner_of(statuses[0]).pid).ppid() == supervisor.pid
    (tmp_path / "go").touch()
    assert {ended(status).state for status in statuses} == {State.COMPLETED}
    assert nursery_of(supervisor) == nursery
    assert "nursery" not in {one.name() for one in runners_of(supervisor)}
    process.send_signal(supervisor, signal.SIGTERM)
    gone(supervisor)
    assert not nursery.is_running()


def test_neither_a_runner_nor_the_nursery_has_what_connects_another_runner(
    own_runtime: Runtime, tmp_path: Path
) -> None:
    statuses = [waiting_task(tmp_path / "go") for _ in range(5)]
    nursery = there(the_supervisor(own_runtime.store))
    log = next(name for name in open_in(nursery.pid) if name.endswith(".log"))
    own = sorted(["/dev/null", "/dev/null", log, "socket"])
    # While it forks the next spare it has that one's three as well, for a moment.
    wait_until(lambda: open_in(nursery.pid) == own, PATIENCE, f"a nursery with nothing but {own}")
    for status in statuses:
        assert open_in(runner_of(status).pid) == ["/dev/null", "pipe", "pipe", "socket"]
    pages = [line for line in Path(f"/proc/{nursery.pid}/maps").read_text().splitlines() if "memfd:" in line]
    assert pages == []
    (tmp_path / "go").touch()


def test_more_spares_than_may_be_asked_for_at_once_come_too(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(spare_runners=AT_ONCE + 2)
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(runtime.store)
    wait_until(lambda: len(runners_of(supervisor)) == AT_ONCE + 2, PATIENCE, "the spares")


@pytest.mark.parametrize("spares", [0, 1])
def test_a_nursery_that_is_killed_costs_no_task_and_another_one_comes(
    make_runtime: MakeRuntime, tmp_path: Path, spares: int
) -> None:
    runtime = make_runtime(spare_runners=spares)
    before = waiting_task(tmp_path / "go")
    supervisor = the_supervisor(runtime.store)
    for _ in range(5):
        nursery = there(supervisor)
        nursery.kill()
        assert [ended(zoo.echo.initiate({})).state for _ in range(3)] == [State.COMPLETED] * 3
        there(supervisor, other_than=nursery)
    (tmp_path / "go").touch()
    assert ended(before).state is State.COMPLETED
    assert supervisor_of(before) == the_supervisor(runtime.store) == supervisor
    wait_until(lambda: len(runners_of(supervisor)) == spares, PATIENCE, "nothing but spares")


def test_a_nursery_that_stands_still_does_not_stop_the_supervisor_and_is_used_again(
    own_runtime: Runtime, tmp_path: Path
) -> None:
    waiting_task(tmp_path / "go")
    supervisor = the_supervisor(own_runtime.store)
    nursery = there(supervisor)
    nursery.suspend()
    try:
        statuses = [zoo.wait.initiate({"path": str(tmp_path / "go")}) for _ in range(6)]
        for status in statuses:
            wait_message(status, "waiting")
        assert "does not answer" in log_of(own_runtime)
    finally:
        nursery.resume()
    (tmp_path / "go").touch()
    assert {ended(status).state for status in statuses} == {State.COMPLETED}
    wait_until(lambda: len(runners_of(supervisor)) == 1, PATIENCE, "the end of what came late")
    assert ended(zoo.echo.initiate({})).state is State.COMPLETED
    assert nursery_of(supervisor) == nursery


def test_a_supervisor_leaves_though_its_nursery_stands_still(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    nursery = there(supervisor)
    nursery.suspend()
    process.send_signal(supervisor, signal.SIGTERM)
    gone(supervisor)
    wait_until(lambda: not nursery.is_running(), PATIENCE, "the end of the nursery")


def test_the_nursery_dies_with_a_supervisor_that_is_killed(own_runtime: Runtime, tmp_path: Path) -> None:
    waiting_task(tmp_path / "go")
    supervisor = the_supervisor(own_runtime.store)
    family = [there(supervisor), *runners_of(supervisor)]
    process.send_signal(supervisor, signal.SIGKILL)
    wait_until(lambda: not any(one.is_running() for one in family), PATIENCE, "the end of all")


def test_signals_that_a_service_manager_sends_to_all_do_not_reach_the_nursery(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    nursery = there(supervisor)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(nursery.pid, number)
    assert ended(zoo.echo.initiate({})).state is State.COMPLETED
    assert nursery_of(supervisor) == nursery


def named(name: str) -> subprocess.Popen[bytes]:
    """Start a child that `ps -o comm` shows as `name`."""
    command = f"printf %s {name!r} >/proc/$$/comm; read forever"
    child = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE)
    wait_until(lambda: process.name_of(child.pid) == name.encode(), PATIENCE, "its name")
    return child


def test_a_runner_of_the_nurserys_own_tick_is_a_stray_and_who_was_there_before_is_none() -> None:
    with named("forktask spare") as child:
        pid, ticks = child.pid, process.identify(child.pid).start_ticks
        for nursery, born, is_stray in (
            (pid - 1, ticks, True),
            (pid, ticks, False),
            (pid + 1, ticks, False),
            (pid + 1, ticks - 1, True),
            (pid - 1, ticks + 1, False),
        ):
            assert (pid in strays(nursery, born, {os.getpid()}.__contains__)) is is_stray
        assert pid not in strays(pid - 1, ticks, {pid}.__contains__)


def test_what_a_task_left_to_pid_1_is_no_stray() -> None:
    with named("task:daemon") as child:
        assert child.pid not in strays(child.pid - 1, 0, {os.getpid()}.__contains__)
