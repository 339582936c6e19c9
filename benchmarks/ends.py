"""How soon does the row tell the truth when a process is killed?

A runner killed: until its row is final; beside a Celery process and an RQ job that are killed, until their result says
so. A supervisor killed: until its runners are gone, and what the next look at a row costs.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import _peers
import _runtimes
import psutil
from _application import parent, sleeper
from _clock import Ear
from _tables import median, print_head, ratio, show
from _timing import IDLE, clean_up_when_told_to_end, rounds

from forktask import Runtime, State, TaskStatus

ROUNDS = rounds(40, 1)
PEER_ROUNDS = rounds(5, 1)
SUPERVISOR_ROUNDS = rounds(10, 1)
POLL = 0.0005
RUNNERS = 4


def until(is_so: Callable[[], object]) -> float:
    """Return the moment from which something is so."""
    limit = time.monotonic() + 60
    while not is_so():
        if time.monotonic() > limit:
            raise TimeoutError("it did not come")
        time.sleep(POLL)
    return time.monotonic()


def row_says(runtime: Runtime, status: TaskStatus, percent: float | None = None) -> bool:
    """Return True if a row is final, or shows this percentage."""
    row = runtime.store.get(status.id)
    return row is not None and (row.percent == percent if percent is not None else row.state.is_final)


def runner_killed(runtime: Runtime) -> float:
    """Return seconds from the SIGKILL of a runner to its final row."""
    _runtimes.use(runtime)
    status = sleeper.initiate()
    until(lambda: row_says(runtime, status, 50))
    row = runtime.store.get(status.id)
    assert row is not None and row.runner_pid is not None
    time.sleep(IDLE)
    begin = time.monotonic()
    os.kill(row.runner_pid, signal.SIGKILL)
    return until(lambda: row_says(runtime, status)) - begin


def supervisor_killed(runtime: Runtime) -> tuple[float, float]:
    """Return seconds until all runners were gone, and of the look that found one of the rows lost.

    What that runner had started is gone after the look, too.
    """
    _runtimes.use(runtime)
    statuses = [parent.initiate(), *(sleeper.initiate() for _ in range(RUNNERS - 1))]
    until(lambda: all(row_says(runtime, status, 50) for status in statuses))
    rows = [runtime.store.get(status.id) for status in statuses]
    runners = [row.runner_pid for row in rows if row is not None and row.runner_pid is not None]
    supervisor = next(row.pid for row in runtime.store.supervisors() if row.id == (rows[0] and rows[0].supervisor_id))
    begin = time.monotonic()
    os.kill(supervisor, signal.SIGKILL)
    gone = until(lambda: not any(map(runs, runners))) - begin
    begin = time.monotonic()
    seen = TaskStatus.get(statuses[0].id)
    looked = time.monotonic() - begin
    assert seen.state is State.LOST and not runs(int(seen.message or "0"))
    for status in statuses:
        status.refresh()
    return gone, looked


def runs(pid: int) -> bool:
    """Return True if there is a process that has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def celery_killed(ear: Ear) -> list[float]:
    """Return seconds from the SIGKILL of a process of the pool until the result says so."""
    taken = []
    with _peers.celery() as module:
        for _ in range(PEER_ROUNDS):
            result = module.asleep.delay(ear.address)
            ear.hear()
            begin = time.monotonic()
            os.kill(ear.pid, signal.SIGKILL)
            taken.append(until(result.ready) - begin)
    return taken


def rq_killed(ear: Ear) -> list[float]:
    """Return seconds from the SIGKILL of a job's process until the job says so."""
    taken = []
    with _peers.rq(job="tell_and_sleep") as start:
        for _ in range(PEER_ROUNDS):
            job = start(ear.address)
            ear.hear()
            begin = time.monotonic()
            os.kill(ear.pid, signal.SIGKILL)
            taken.append(until(lambda: job.get_status(refresh=True) in ("failed", "finished")) - begin)  # noqa: B023
    return taken


def main() -> None:
    """Print the tables."""
    print_head("Ends", "celery", "rq", "psycopg", "pymysql")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        runtimes = _runtimes.on_each_database(stack, Path(folder))
        killed: dict[str, list[float]] = {f"forktask, {kind}": [] for kind in runtimes}
        for _ in range(ROUNDS):
            for kind, runtime in runtimes.items():
                killed[f"forktask, {kind}"].append(runner_killed(runtime))
        ear = Ear(f"{folder}/ear")
        killed |= {"RQ": rq_killed(ear)} if _peers.is_there("rq") else {}
        killed |= {"Celery": celery_killed(ear)} if _peers.is_there("celery") else {}
        ear.close()
        pairs = {kind: [supervisor_killed(one) for _ in range(SUPERVISOR_ROUNDS)] for kind, one in runtimes.items()}
    own = median(killed["forktask, SQLite"], 1e3)
    rows = [(name, f"{median(of, 1e3):.1f}", ratio(median(of, 1e3), own)) for name, of in killed.items()]
    show("SIGKILL of a runner until its row is final; medians", ("", "ms", "× forktask, SQLite"), rows)
    looks = [(kind, *(f"{median(of, 1e3):.1f}" for of in zip(*found, strict=True))) for kind, found in pairs.items()]
    title = f"SIGKILL of a supervisor with {RUNNERS} runners; medians of {SUPERVISOR_ROUNDS}"
    show(title, ("", "runners gone, ms", "look that finds it lost and ends leftovers, ms"), looks)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
