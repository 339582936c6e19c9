"""MAX_RUNNING: rows above it wait and are started by whoever frees a place."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path

from forktask import process
from forktask.runtime import Runtime
from forktask.states import State
from tests import zoo
from tests.runtimes import (
    PATIENCE,
    MakeRuntime,
    ended,
    gone,
    runner_of,
    runners_of,
    stays,
    the_supervisor,
    wait_message,
)
from tests.waiting import wait_until


def count(runtime: Runtime, state: State) -> int:
    return len(runtime.store.find(state=[state], limit=20_000))


def test_ten_thousand_orders_are_ten_thousand_rows_and_never_more_processes_than_the_limit(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime(max_running=3)
    go = tmp_path / "go"
    most = 0
    for _ in range(10_000):
        zoo.wait.initiate({"path": str(go)})
        if _ % 500 == 0:
            most = max(most, len(runners_of(the_supervisor(runtime.store))))
    assert count(runtime, State.QUEUED) + count(runtime, State.RUNNING) == 10_000
    wait_until(lambda: count(runtime, State.RUNNING) == 3, PATIENCE, "three runners")
    most = max(most, len(runners_of(the_supervisor(runtime.store))))
    assert most <= 3 + runtime.settings.spare_runners
    # A supervisor that was told to end leaves the rest alone.
    supervisor = the_supervisor(runtime.store)
    process.send_signal(supervisor, signal.SIGTERM)
    gone(supervisor)
    assert count(runtime, State.QUEUED) == 9_997
    runtime.store.drop_tables()


def test_a_host_is_full_while_all_places_are_taken(make_runtime_both: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime_both(max_running=1)
    full = [runtime.is_full]
    status = zoo.wait.initiate({"path": str(tmp_path / "go")})
    wait_message(status, "waiting")
    full.append(runtime.is_full)
    status.cancel()
    ended(status)
    assert [*full, runtime.is_full] == [False, True, False]


def test_all_orders_above_the_limit_run_in_the_order_they_came(make_runtime_both: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime_both(max_running=1)
    notes, go = tmp_path / "notes", tmp_path / "go"
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    statuses = [zoo.note_start.initiate({"path": str(notes), "n": n}) for n in range(100)]
    go.touch()
    for status in statuses:
        assert ended(status).state is State.COMPLETED
    by_age = sorted((status.id, str(n)) for n, status in enumerate(statuses))
    assert notes.read_text().split() == [n for _, n in by_age]
    assert all(len(status.attempts()) == 1 for status in statuses)
    assert len(runners_of(the_supervisor(runtime.store))) <= runtime.settings.spare_runners


def test_who_comes_as_a_place_is_freed_does_not_overtake_those_who_wait(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    runtime = make_runtime(max_running=1)
    notes, go = tmp_path / "notes", tmp_path / "go"
    first = zoo.wait.initiate({"path": str(go)})
    runner = runner_of(first)
    statuses = [zoo.note_start.initiate({"path": str(notes), "n": n}) for n in range(3)]
    stays(runtime, 1.0)
    supervisor = the_supervisor(runtime.store)
    process.send_signal(supervisor, signal.SIGSTOP)
    go.touch()
    gone(runner)
    statuses.append(zoo.note_start.initiate({"path": str(notes), "n": 3}))
    process.send_signal(supervisor, signal.SIGCONT)
    for status in statuses:
        assert ended(status).state is State.COMPLETED
    assert notes.read_text().split() == ["0", "1", "2", "3"]


def test_the_limit_holds_for_all_supervisors_of_a_host(make_runtime_both: MakeRuntime, tmp_path: Path) -> None:
    go = tmp_path / "go"
    make_runtime_both(max_running=2)
    old = [zoo.wait.initiate({"path": str(go)}) for _ in range(2)]
    for status in old:
        wait_message(status, "waiting")
    newer = make_runtime_both(max_running=2, version="next")
    new = zoo.wait.initiate({"path": "/"})
    store = newer.store

    def has_looked() -> bool:
        return any(one.heartbeat_at > one.started_at + timedelta(seconds=3) for one in store.supervisors()[1:])

    wait_until(has_looked, PATIENCE, "the second supervisor")
    assert [status.refresh().state for status in [*old, new]] == [State.RUNNING, State.RUNNING, State.QUEUED]
    go.touch()
    for status in [*old, new]:
        assert ended(status).state is State.COMPLETED


def test_more_spares_than_one_are_kept_and_end_with_the_supervisor(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(spare_runners=3)
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(runtime.store)
    spares = wait_until(lambda: [one for one in runners_of(supervisor) if len(runners_of(supervisor)) == 3], PATIENCE)
    killed = spares[0]
    os.kill(killed.pid, signal.SIGKILL)
    wait_until(
        lambda: len(runners_of(supervisor)) == 3 and killed not in runners_of(supervisor), PATIENCE, "a new spare"
    )
    spares = runners_of(supervisor)
    process.send_signal(supervisor, signal.SIGTERM)
    gone(supervisor)
    wait_until(lambda: not any(one.is_running() for one in spares), PATIENCE, "the end of the spares")


def test_a_spare_that_is_asked_to_end_leaves_and_is_replaced(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    (spare,) = wait_until(lambda: runners_of(supervisor), PATIENCE)
    os.kill(spare.pid, signal.SIGTERM)
    wait_until(lambda: runners_of(supervisor) not in ([], [spare]), PATIENCE, "another spare")
    assert ended(zoo.echo.initiate({"a": 1})).result == {"a": 1}
