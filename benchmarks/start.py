"""How long is a request blocked by `initiate`, and when does the first line of `execute` run?

Against Celery (a prefork worker waits), RQ (forks for each job), Huey (a process waits), all on Redis, and
`multiprocessing`. Each has a web process of its own; they take turns, with 25 ms of idling before each start.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _peers
import _runtimes
from _application import first_line
from _caller import MEANS, Caller
from _clock import Ear
from _tables import median, print_head, ratio, show
from _timing import IDLE, SMOKE, clean_up_when_told_to_end, rounds

ROUNDS = rounds(100, 2)
FIRST_ROUNDS = rounds(9, 1)
GIGABYTE = 2**20 if SMOKE else 2**30
HEAVY = ("forktask, SQLite", "Celery", "multiprocessing fork")
"""What is also measured in a web process that holds a gigabyte."""
RARE = {"multiprocessing spawn": 20, "multiprocessing forkserver": 10}
"""Of those that take long only every so many rounds."""
Times = dict[str, list[tuple[float, float]]]


def callers(folder: Path) -> dict[str, Caller]:
    """Return a web process for each means that can be had here."""
    wanted = [(means, means, 0) for means in MEANS if _peers.can_be_had(means)]
    wanted += [(f"{means}, 1 GB", means, GIGABYTE) for means in HEAVY if _peers.can_be_had(means)]
    if SMOKE:
        wanted = [wanted[0], wanted[-1]]
    made = {name: Caller(means, folder / str(number), size) for number, (name, means, size) in enumerate(wanted)}
    return {name: caller for name, caller in made.items() if caller.is_there}


def measure(cases: dict[str, Caller]) -> Times:
    """Return seconds blocked and until the first line, of each case; they take turns in changing order."""
    taken: Times = {name: [] for name in cases}
    chance = random.Random(1)
    for number in range(-3, ROUNDS):
        for name in chance.sample(list(cases), len(cases)):
            if number % RARE.get(name, 1) == 0:
                times = cases[name].start()
                if number >= 0:
                    taken[name].append(times)
    return taken


def first_of_all(kind: str) -> tuple[float, float]:
    """Return seconds blocked by the first `initiate` of a fresh process, and by the second.

    Nothing is there before it: no tables, no supervisor.
    """
    with tempfile.TemporaryDirectory() as folder, _runtimes.database(kind, Path(folder)) as url:
        command = [sys.executable, __file__, "first", url, folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    first, second = done.stdout.split()
    return float(first), float(second)


def be_first(url: str, folder: str) -> None:
    """In a fresh process: start a task where there is nothing yet, then another."""
    ear = Ear(f"{folder}/ear")
    with _runtimes.runtime(url, Path(folder)) as runtime:
        _runtimes.use(runtime)
        for _ in range(2):
            time.sleep(IDLE)
            begin = time.perf_counter()
            status = first_line.initiate({"address": ear.address})
            print(time.perf_counter() - begin)
            ear.hear()
            status.wait(30)
    ear.close()


def print_starts(times: Times) -> None:
    """Print the table with the ratios to Celery and RQ."""
    figures = {name: [median(column, 1e3) for column in zip(*pairs, strict=True)] for name, pairs in times.items()}
    celery, rq = figures.get("Celery", (None, None)), figures.get("RQ", (None, None))
    rows = [
        (
            name, f"{blocked:.2f}", ratio(blocked, celery[0]),
            f"{first:.2f}", ratio(first, celery[1]), ratio(first, rq[1]),
        )
        for name, (blocked, first) in figures.items()
    ]  # fmt: skip
    head = ("", "blocked, ms", "× Celery", "first line, ms", "× Celery", "× RQ")
    show(f"The caller blocked, and the first line of the task; median of {ROUNDS} rounds", head, rows)


def main() -> None:
    """Print the tables."""
    print_head("Start", "celery", "redis", "rq", "huey", "psycopg", "pymysql", "sqlalchemy")
    with tempfile.TemporaryDirectory() as folder:
        cases = callers(Path(folder))
        try:
            times = measure(cases)
        finally:
            for caller in cases.values():
                caller.close()
    print_starts(times)
    kinds = [kind for kind in _runtimes.KINDS if f"forktask, {kind}" in cases]
    found = {kind: [first_of_all(kind) for _ in range(FIRST_ROUNDS)] for kind in kinds}
    rows = [(kind, *(f"{median(column, 1e3):.1f}" for column in zip(*of, strict=True))) for kind, of in found.items()]
    title = f"`initiate` in a fresh process, without tables or supervisor; median of {FIRST_ROUNDS}"
    show(title, ("", "first, ms", "second, ms"), rows)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    if sys.argv[1:2] == ["first"]:
        be_first(*sys.argv[2:])
    else:
        main()
