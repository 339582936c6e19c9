"""The wall clock is set, for web process, supervisor and runners alike, by an hour in either direction.

What moves it is `moved_clock/sitecustomize.py`, which they all import as they begin. Of libfaketime, which moves it in
the C library, CPython's `time.sleep` ends with EINVAL; the machine's own clock is not ours to set.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.supervisor.inspection import LOOK_INTERVAL, RARE_INTERVAL
from tests import zoo
from tests.faults.truth import DONE, nothing_else_touched, tells
from tests.runtimes import PATIENCE, QUICK, MakeRuntime, ended, wait_message
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
HOUR = 3600

PROGRAM = """
import json, sys, time
from pathlib import Path
from forktask import TaskStatus
from forktask.runtime import current
from tests import zoo
from tests.runtimes import supervisor_of, wait_for
from tests.waiting import wait_until

clock, go, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
running, paused = (zoo.wait.initiate({"path": go}) for _ in range(2))
short = zoo.ShortTask.initiate({"path": "/nowhere"})
for status in (running, paused):
    wait_for(status, lambda one: one.message == "waiting")
paused.pause()
wait_for(paused, lambda one: one.state == "paused")
supervisor, before = supervisor_of(running), time.time()

new = clock.with_suffix(".new")
new.write_text(f"{step:+d}")
new.replace(clock)
assert abs(time.time() - before - step) < 600

beats = lambda: current().store.supervisor(running.row.supervisor_id).heartbeat_at
for _ in range(3):  # looks of the supervisor, and of ours
    last = beats()
    wait_until(lambda: beats() != last, 60)
    assert [one.refresh().state for one in (running, paused)] == ["running", "paused"]
later = [zoo.echo.initiate({"a": 1}), zoo.ShortTask.initiate({"path": "/nowhere"})]
later.append(zoo.FlakyTask.initiate({"notes": "/dev/null"}))
paused.resume()
Path(go).touch()
ends = [status.wait(60) for status in (running, paused, short, *later)]
assert supervisor_of(running) == supervisor_of(later[0]) == supervisor
print(json.dumps([[one.state, one.cause, one.error, len(one.attempts())] for one in ends]))
"""
TOO_LONG = [State.FAILED, Cause.TIMEOUT, "This took longer than 0.5 seconds and was stopped.", 1]
EXPECTED = [
    [State.COMPLETED, None, None, 1],
    [State.COMPLETED, None, None, 1],
    TOO_LONG,
    [State.COMPLETED, None, None, 1],
    TOO_LONG,
    [State.COMPLETED, None, None, 3],
]


def environment_of(clock: Path) -> dict[str, str]:
    """Return what a program, and all that it starts, needs for a clock that a file moves."""
    return {"TEST_CLOCK": str(clock), "PYTHONPATH": str(Path(__file__).with_name("moved_clock"))}


def run(runtime: Runtime, program: str, clock: Path, *arguments: str) -> Any:
    """Run a web process of that runtime's settings whose clock, and its supervisor's, the file `clock` moves."""
    settings = runtime.settings
    environment = os.environ | {f"FORKTASK_{name.upper()}": str(getattr(settings, name)) for name in QUICK}
    environment |= {"FORKTASK_DATABASE_URL": settings.database_url, "FORKTASK_RUNTIME_DIR": settings.runtime_dir}
    environment |= environment_of(clock)
    command = [sys.executable, "-c", program, str(clock), *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("step", [-HOUR, HOUR], ids=["back", "forward"])
def test_nothing_is_lost_late_or_early_when_the_clock_is_set(
    make_runtime_both: MakeRuntime, tmp_path: Path, step: int
) -> None:
    beside = make_runtime_both()
    clock = tmp_path / "clock"
    clock.write_text("0")
    with nothing_else_touched(beside, tmp_path):
        moved = make_runtime_both(version="moved")
        assert run(moved, PROGRAM, clock, str(tmp_path / "go"), str(step)) == EXPECTED


def test_a_new_version_replaces_the_old_one_though_the_clock_was_set_back_between_them(
    make_runtime: MakeRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_runtime(version="old").store
    old = ended(zoo.nothing.initiate()).row.supervisor_id
    clock, go = tmp_path / "clock", tmp_path / "go"
    clock.write_text(str(-HOUR))
    for name, value in environment_of(clock).items():
        monkeypatch.setenv(name, value)
    make_runtime(version="new", max_running=1)
    running, waiting = zoo.wait.initiate({"path": str(go)}), zoo.nothing.initiate()
    wait_message(running, "waiting")

    def heartbeat() -> datetime:
        return next(row.heartbeat_at for row in store.supervisors() if row.id == old)

    begun = {row.id: row.started_at for row in store.supervisors()}
    assert min(begun, key=lambda one: begun[one]) == running.refresh().row.supervisor_id, "its clock was not set back"
    before, a_look_around = heartbeat(), timedelta(seconds=RARE_INTERVAL + LOOK_INTERVAL)
    wait_until(lambda: heartbeat() - before > a_look_around, PATIENCE, "a look of the old supervisor")
    assert [row.state for row in (store.get(waiting.id),) if row] == [State.QUEUED], "it is for the new version"
    go.touch()
    for status in (running, waiting):
        tells(status, DONE)
        assert status.row.supervisor_id != old
