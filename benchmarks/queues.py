"""How many tasks a second pass through a queue, how soon does one begin, and what does waiting cost?

No-op tasks that lie ready, two processes: forktask with runners that are kept and with one for each task, against
Celery, RQ, Huey, Dramatiq, Procrastinate and django-tasks; the cases take turns. (It is not called queue: Python has a
module of that name.)
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import _peers
import _runtimes
import psutil
from _application import first_line
from _clock import Ear
from _drains import Drain, drains, forktask_worker
from _tables import median, print_head, ratio, show
from _timing import IDLE, SMOKE, clean_up_when_told_to_end, rounds

from forktask import Runtime
from forktask.process import identify
from forktask.registry import names
from forktask.rows import Claim, new_id
from forktask.tables import STATUS

ROUNDS = rounds(3, 1)
LATENCY_ROUNDS = rounds(100, 2)
CLAIM_ROUNDS = rounds(200, 2)
FINAL_ROWS = 100 if SMOKE else 1_000_000
KEPT: dict[str, tuple[str, ...]] = {"": (), ", runner kept": ("--tasks-per-runner", "1000")}
AT_ONCE = 50_000
"""Rows of one statement: forktask gives no statement more than some seconds."""
NEW_ID = "REPLACE(UUID(), '-', '')"
IDLE_SECONDS = 0.5 if SMOKE else 20.0


def measure_drains(found: dict[str, Drain], folder: Path) -> dict[str, list[float]]:
    """Return how many tasks a second each case runs; they take turns in changing order."""
    rates: dict[str, list[float]] = {name: [] for name in found}
    chance = random.Random(1)
    ear = Ear(f"{folder}/drain")
    for _ in range(ROUNDS):
        for name in chance.sample(list(found), len(found)):
            rates[name].append(found[name].measure(ear, 20 if SMOKE else found[name].count))
    ear.close()
    return rates


def measure_latency(stack: ExitStack, folder: Path) -> dict[str, list[float]]:
    """Return seconds from the call to the first line of the task, where a worker waits; the cases take turns."""
    ear = Ear(f"{folder}/latency")
    starts: dict[str, Callable[[], object]] = {}
    for kind in _runtimes.answering():
        for name, told in KEPT.items():
            runtime = stack.enter_context(waiting(kind, folder / f"{kind}{len(told)}", *told))
            starts[f"forktask, {kind}{name}"] = partial(enqueue, runtime, ear.address)
    for name in ("Celery", "RQ", "Huey"):
        if _peers.can_be_had(name):
            starts[name] = partial(stack.enter_context(_peers.STARTS[name](str(folder))), ear.address)
    taken: dict[str, list[float]] = {name: [] for name in starts}
    chance = random.Random(1)
    for number in range(-3, LATENCY_ROUNDS):
        for name in chance.sample(list(starts), len(starts)):
            time.sleep(IDLE)
            begin = time.monotonic()
            starts[name]()
            first = ear.hear() - begin
            if number >= 0:
                taken[name].append(first)
    ear.close()
    return taken


@contextmanager
def waiting(kind: str, folder: Path, *told: str) -> Iterator[Runtime]:
    """Yield a runtime whose queue a worker serves that has nothing to do."""
    folder.mkdir(exist_ok=True)
    with (
        _runtimes.database(kind, folder) as url,
        _runtimes.runtime(url, folder) as runtime,
        forktask_worker(url, folder, "--processes", "2", *told),
    ):
        _peers.wait_for(runtime.store.supervisors, "a worker")
        yield runtime


def enqueue(runtime: Runtime, address: str) -> None:
    """Leave one task to a queue."""
    _runtimes.use(runtime)
    first_line.enqueue({"address": address})


def measure_claims(folder: Path) -> dict[str, tuple[float, float]]:
    """Return, by the database, seconds of a look and claim of one row beside no final row and beside a million."""
    found = {}
    for kind in _runtimes.answering():
        with ExitStack() as stack:
            runtimes = []
            for count in (0, FINAL_ROWS):
                url = stack.enter_context(_runtimes.database(kind, folder))
                runtimes.append(stack.enter_context(_runtimes.runtime(url, folder, start_method="inline")))
                fill(runtimes[-1], kind, count)
            taken: tuple[list[float], list[float]] = ([], [])
            for _ in range(CLAIM_ROUNDS):
                for runtime, into in zip(runtimes, taken, strict=True):
                    into.append(claim_one(runtime))
            found[kind] = (median(taken[0], 1e3), median(taken[1], 1e3))
    return found


def fill(runtime: Runtime, kind: str, count: int) -> None:
    """Write so many final rows, and those that will be claimed."""
    _runtimes.use(runtime)
    first_line.enqueue_many({"address": ""} for _ in range(CLAIM_ROUNDS))
    new = {"SQLite": "lower(hex(randomblob(16)))", "PostgreSQL": "gen_random_uuid()"}
    varying = ("id", "state", "finished_at")
    others = ", ".join(column.name for column in STATUS.c if column.name not in varying)
    copied = (
        f"INSERT INTO forktask_status ({', '.join(varying)}, {others}) "
        f"SELECT {new.get(kind, NEW_ID)}, 'completed', created_at, {others} FROM forktask_status"
    )
    with runtime.store.database.engine.connect() as connection:
        done = 0
        while done < count:
            some = min(count - done, max(CLAIM_ROUNDS, done), AT_ONCE)
            connection.exec_driver_sql(f"{copied} LIMIT {some}")
            done += some


def claim_one(runtime: Runtime) -> float:
    """Look for one row and claim it."""
    begin = time.perf_counter()
    (due,) = runtime.store.due_in("default", names(), 1)
    claimed = runtime.store.claim([Claim(status_id=due.id, supervisor_id=new_id(), runner=identify())])
    taken = time.perf_counter() - begin
    assert len(claimed) == 1
    return taken


def measure_idling(folder: Path) -> dict[str, float]:
    """Return which share of a core a worker takes that has nothing to do, with all its processes."""
    found = {}
    for kind in _runtimes.answering():
        with waiting(kind, folder / f"idle{kind}") as runtime:
            (row,) = runtime.store.supervisors()
            worker = psutil.Process(row.pid)
            time.sleep(min(2.0, IDLE_SECONDS))
            before = processor_seconds(worker)
            time.sleep(IDLE_SECONDS)
            found[kind] = (processor_seconds(worker) - before) / IDLE_SECONDS
    return found


def processor_seconds(process: psutil.Process) -> float:
    """Return what a process and its children have taken."""
    return sum(sum(one.cpu_times()[:2]) for one in (process, *process.children(recursive=True)))


def print_rates(rates: dict[str, list[float]]) -> None:
    """Print the table of tasks a second, with the ratios that matter."""
    figures = {name: median(of) for name, of in rates.items()}
    peers = [figures.get(name) for name in ("Huey, Redis", "Celery", "Procrastinate", "RQ, fork for each job")]
    rows = [(name, f"{value:.0f}", *(ratio(value, peer) for peer in peers)) for name, value in figures.items()]
    head = ("", "a second", "× Huey, Redis", "× Celery", "× Procrastinate", "× RQ, fork")
    show(f"No-op tasks, from a full queue to the last end, two processes; median of {ROUNDS}", head, rows)


def print_latency(latency: dict[str, float]) -> None:
    """Print the table of first lines."""
    rows = [(name, f"{value:.2f}", ratio(value, latency.get("Celery"))) for name, value in latency.items()]
    title = f"`enqueue` until the first line, a worker waits; median of {LATENCY_ROUNDS}"
    show(title, ("", "ms", "× Celery"), rows)


def main() -> None:
    """Print the tables."""
    print_head("Queues", "celery", "redis", "rq", "huey", "dramatiq", "procrastinate", "django-tasks", "psycopg")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_rates(measure_drains(drains(folder), folder))
        with ExitStack() as stack:
            latency = {name: median(of, 1e3) for name, of in measure_latency(stack, folder).items()}
        print_latency(latency)
        claims = measure_claims(folder)
        beside = [(kind, f"{none:.3f}", f"{many:.3f}", ratio(many, none)) for kind, (none, many) in claims.items()]
        title = f"Look and claim beside final rows; median of {CLAIM_ROUNDS}"
        show(title, ("", "0, ms", f"{FINAL_ROWS}, ms", "ratio"), beside)
        idle = [(kind, f"{100 * share:.2f}") for kind, share in measure_idling(folder).items()]
        show("A worker that has nothing to do", ("", "% of a core"), idle)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
