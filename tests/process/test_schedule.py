"""Recurring tasks with real supervisors: what the application declares is run, once for each due time."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from forktask import process
from forktask.proof import identity_of
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.schedule import declared
from forktask.schedule.declaration import forget
from forktask.schedule.table import ScheduleRow
from forktask.states import State
from tests import zoo
from tests.process.working import workers
from tests.runtimes import PATIENCE, MakeRuntime, supervisors
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _no_declarations() -> Iterator[None]:
    yield
    for name in declared():
        forget(name)


def application(folder: Path, declarations: str) -> str:
    """Write a program that declares recurring tasks."""
    file = folder / "recurring.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport forktask, tests.zoo\n\n"
        f"@forktask.task(name='tick')\ndef tick(status):\n    return 'ticked'\n\n{declarations}\n"
    )
    return f"file:{file}:"


def begin(runtime: Runtime, count: int = 1) -> None:
    """Have its supervisor begin, as the `count`th."""
    runtime.doorbell.ring(["hello"])
    wait_until(lambda: len(supervisors(runtime.store)) >= count, PATIENCE, "a supervisor")


def ticks(runtime: Runtime) -> list[StatusRow]:
    return sorted(runtime.store.find(task="tick", limit=1000), key=lambda row: row.due_at)


def schedule(runtime: Runtime, name: str) -> ScheduleRow | None:
    return runtime.store.schedule(name)


def test_three_supervisors_run_each_second_once_though_one_is_killed(
    make_runtime_each: MakeRuntime, tmp_path: Path
) -> None:
    app = application(tmp_path, "tick.every(1, name='ticks', overlap='parallel')")
    made = [make_runtime_each(app=app, sample_interval=0.05 + number / 1000) for number in range(3)]
    for number, runtime in enumerate(made):
        begin(runtime, number + 1)
    store = made[0].store
    wait_until(lambda: len(ticks(made[0])) >= 3, PATIENCE, "three ticks")
    process.send_signal(identity_of(supervisors(store)[0]), signal.SIGKILL)
    before = len(ticks(made[0]))
    wait_until(lambda: len(ticks(made[0])) >= before + 4, PATIENCE, "four more")
    row = schedule(made[0], "ticks")
    assert row is not None
    times = [run.due_at for run in ticks(made[0])]
    assert times == [row.anchor_at + (number + 1) * SECOND for number in range(len(times))]
    lost = [run for run in ticks(made[0]) if run.state is State.LOST]
    assert len(lost) <= 1, "that of the supervisor which was killed"


def test_the_first_request_of_a_site_with_recurring_tasks_starts_the_supervisor(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime()
    runtime.wake()
    assert supervisors(runtime.store) == []
    zoo.nothing.every(600, name="declared here")
    runtime.wake()
    wait_until(lambda: len(supervisors(runtime.store)) == 1, PATIENCE, "a supervisor")


def test_a_new_version_says_what_there_is_now(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    app = application(tmp_path, "tick.every(3600, name='kept')\ntick.every(3600, name='dropped')")
    old = make_runtime(app=app, version="1")
    begin(old)
    wait_until(lambda: schedule(old, "dropped") is not None, PATIENCE, "both declared")
    application(tmp_path, "tick.every(60, name='kept')\ntick.cron('@daily', name='new')")
    new = make_runtime(app=app, version="2")
    begin(new, 2)
    wait_until(lambda: schedule(new, "new") is not None, PATIENCE, "the new one")
    kept, dropped = schedule(new, "kept"), schedule(new, "dropped")
    assert kept is not None
    assert dropped is not None
    assert (kept.every, kept.version, kept.withdrawn_at) == (60, "2", None)
    assert (dropped.next_at, dropped.version) == (None, "1")


def test_an_application_that_cannot_be_imported_withdraws_nothing(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    app = application(tmp_path, "tick.every(3600, name='kept')")
    old = make_runtime(app=app, version="1")
    begin(old)
    wait_until(lambda: schedule(old, "kept") is not None, PATIENCE, "declared")
    application(tmp_path, "tick.every('never')")
    new = make_runtime(app=app, version="2")
    begin(new, 2)
    broken = zoo.nothing.initiate().wait(PATIENCE)
    assert broken.state == State.FAILED
    kept = schedule(new, "kept")
    assert kept is not None
    assert kept.withdrawn_at is None


def test_a_worker_that_cron_starts_runs_what_was_missed_and_ends(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    app = application(tmp_path, "tick.every(3600, name='hourly')")
    runtime = make_runtime(app=app, start_method="inline")
    with workers(runtime) as start:

        def drained() -> int:
            return start("--drain", ready=False, FORKTASK_APP=app).wait(PATIENCE)

        assert drained() == 0
        row = schedule(runtime, "hourly")
        assert row is not None
        assert ticks(runtime) == []
        ago = {name: getattr(row, name) - 3 * 3700 * SECOND for name in ("anchor_at", "due_at", "next_at")}
        assert runtime.store.change_schedule(row, ago | {"updated_at": row.updated_at + SECOND})
        assert drained() == 0
        (run,) = ticks(runtime)
        assert (run.state, run.result, run.due_at) == (State.COMPLETED, "ticked", ago["anchor_at"] + 3 * 3600 * SECOND)
        assert drained() == 0
        assert len(ticks(runtime)) == 1
