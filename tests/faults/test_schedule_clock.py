"""Eight supervisors and a clock that is set forward and back: one run for each due time."""

from __future__ import annotations

from pathlib import Path

from tests.faults.test_clock import run
from tests.runtimes import MakeRuntime

PROGRAM = """
import json, sys, time
from dataclasses import replace
from pathlib import Path
from forktask.runtime import Runtime, current
from tests.runtimes import supervisors
from tests.waiting import wait_until

clock = Path(sys.argv[1])
settings = current().settings
made = [Runtime(replace(settings, app=sys.argv[2], sample_interval=0.05 + number / 1000)) for number in range(8)]
for runtime in made:
    runtime.doorbell.ring(["hello"])
store = made[0].store
wait_until(lambda: len(supervisors(store)) == 8 and store.schedule("often"), 90)
row = store.schedule("often")

def moved(minutes):
    new = clock.with_suffix(".new")
    new.write_text(str(minutes * 60))
    new.replace(clock)

def due():
    return sorted(after(one.due_at) for one in store.find(task="tick", limit=500))

def after(moment):
    return round((moment - row.anchor_at).total_seconds() / 60)

def next_is(minutes):
    wait_until(lambda: after(store.schedule("often").due_at) == minutes, 60)

def comes(expected):
    try:
        wait_until(lambda: due() == expected, 60)
    except AssertionError:
        raise AssertionError(f"{due()} instead of {expected}")

moved(35)
comes([10, 20, 30])
moved(5)
next_is(10)
moved(45)
next_is(50)
comes([10, 20, 30, 40])
moved(-600)
next_is(0)
moved(65)
comes([0, 10, 20, 30, 40, 50, 60])
ids = [one.id for one in store.find(task="tick", limit=500)]
ends = [made[0].wait(one, 60).state for one in ids]
assert len(supervisors(store)) == 8
print(json.dumps(ends))
"""


def test_eight_supervisors_run_each_due_time_once_whatever_the_clock_is_set_to(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    file, clock = tmp_path / "recurring.py", tmp_path / "clock"
    clock.write_text("0")
    root = str(Path(__file__).parents[2])
    file.write_text(
        f"import sys\nsys.path.insert(0, {root!r})\nimport forktask\n\n"
        "@forktask.task(name='tick')\ndef tick(status):\n    return 'ticked'\n\n"
        "tick.every('10 minutes', name='often', missed='all', overlap='parallel')\n"
    )
    assert run(make_runtime(), PROGRAM, clock, f"file:{file}:") == ["completed"] * 7
