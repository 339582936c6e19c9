"""How long is a request blocked by `initiate`, and when does the first line of `execute` run?

Against `multiprocessing` (fork, forkserver, spawn), interleaved, with 30 ms of idling before each start, on SQLite.
Run it with `python benchmarks/start.py` (or `make bench`). Prints medians in milliseconds.
"""

from __future__ import annotations

import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any

from forktask import LiveStatus, Runtime, Settings, task

ROUNDS = 25
IDLE = 0.03
PATIENCE = 30.0


@task
def first_line(status: LiveStatus) -> float:
    """Return the clock at the first line."""
    return time.monotonic()


def peer(clock: SimpleQueue[float]) -> None:
    """Do the same for a process of multiprocessing."""
    clock.put(time.monotonic())


def start_task() -> tuple[float, float]:
    """Return seconds blocked, and until the first line, of one task."""
    begin = time.monotonic()
    status = first_line.initiate()
    blocked = time.monotonic() - begin
    return blocked, float(status.wait(PATIENCE).result) - begin


def start_peer(method: str) -> tuple[float, float]:
    """Return the same of one process that `multiprocessing` starts."""
    context: Any = multiprocessing.get_context(method)
    clock = context.SimpleQueue()
    begin = time.monotonic()
    process = context.Process(target=peer, args=(clock,))
    process.start()
    blocked = time.monotonic() - begin
    first = clock.get() - begin
    process.join()
    return blocked, first


CASES: dict[str, Callable[[], tuple[float, float]]] = {
    "forktask": start_task,
    **{f"multiprocessing {name}": lambda name=name: start_peer(name) for name in ("fork", "forkserver", "spawn")},  # type: ignore[misc]
}


def main() -> None:
    """Print the table."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder, 'forktask.sqlite')}"
        runtime = Runtime(Settings(database_url=database, runtime_dir=f"{folder}/run", idle_exit=0.5))
        Runtime.use(lambda: runtime)
        start_task()
        for _ in range(ROUNDS):
            for name, case in CASES.items():
                time.sleep(IDLE)
                taken[name].append(case())
        runtime.close()
        while any(row.stopped_at is None for row in runtime.store.supervisors()):
            time.sleep(0.05)
    print(f"Python {platform.python_version()}, SQLite, median of {ROUNDS}; milliseconds: blocked, first line")
    for name, pairs in taken.items():
        blocked, first = (statistics.median(column) * 1e3 for column in zip(*pairs, strict=True))
        print(f"{name:28} {blocked:8.2f} {first:8.2f}")


if __name__ == "__main__":
    main()
