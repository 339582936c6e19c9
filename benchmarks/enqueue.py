"""What does it cost to leave a task to a queue: one at a time, and ten thousand in one call?

One: a row that is committed, the wake-up included, while nobody serves its queue (`run_after` holds it back). Against
`.delay()` of Celery and `enqueue` of RQ and Huey, all on Redis; they take turns, with 25 ms of idling before each call.
Many: one call of `enqueue_many`; the others have no such call, so there it is a loop.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import _peers
import _runtimes
from _application import first_line
from _tables import median, print_head, ratio, show
from _timing import IDLE, SMOKE, clean_up_when_told_to_end, rounds

from forktask import Runtime

ROUNDS = rounds(60, 2)
MANY_ROUNDS = rounds(3, 1)
MANY = 100 if SMOKE else 10_000
PEERS_MANY = MANY // 20
"""So many are enough to know the rate of a loop."""
ADDRESS = "nowhere"


def of_forktask(runtime: Runtime, count: int) -> None:
    """Leave one, or many in one call."""
    _runtimes.use(runtime)
    later = first_line.using(run_after="+1 day")
    if count == 1:
        later.enqueue({"address": ADDRESS})
    else:
        later.enqueue_many({"address": ADDRESS} for _ in range(count))


def forget(runtime: Runtime) -> None:
    """Delete what waits, for which a supervisor would stay."""
    with runtime.store.database.engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM forktask_status")


def of_peer(start: _peers.Start, count: int) -> None:
    """Leave so many, one after the other."""
    for _ in range(count):
        start(ADDRESS)


def cases(stack: ExitStack, folder: Path) -> dict[str, Callable[[int], object]]:
    """Return what leaves so many tasks by each means that can be had here."""
    runtimes = _runtimes.on_each_database(stack, folder)
    for runtime in runtimes.values():
        stack.callback(forget, runtime)
    found: dict[str, Callable[[int], object]] = {
        f"forktask, {kind}": partial(of_forktask, runtime) for kind, runtime in runtimes.items()
    }
    for name in ("Celery", "RQ", "Huey"):
        if _peers.can_be_had(name):
            found[name] = partial(of_peer, stack.enter_context(_peers.QUEUES[name]()))
    return found


def measure(found: dict[str, Callable[[int], object]], counts: dict[str, int], times: int) -> dict[str, list[float]]:
    """Return the seconds that each took, for each task of a call; the cases take turns in changing order."""
    taken: dict[str, list[float]] = {name: [] for name in found}
    chance = random.Random(1)
    for number in range(-1, times):
        for name in chance.sample(list(found), len(found)):
            time.sleep(IDLE)
            begin = time.perf_counter()
            found[name](counts[name])
            if number >= 0:
                taken[name].append((time.perf_counter() - begin) / counts[name])
    return taken


def main() -> None:
    """Print the tables."""
    print_head("Enqueue", "celery", "redis", "rq", "huey", "psycopg", "pymysql", "sqlalchemy")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        found = cases(stack, Path(folder))
        one = {name: median(of, 1e3) for name, of in measure(found, dict.fromkeys(found, 1), ROUNDS).items()}
        counts = {name: MANY if name.startswith("forktask") else PEERS_MANY for name in found}
        many = {name: median(of) for name, of in measure(found, counts, MANY_ROUNDS).items()}
    celery = (one.get("Celery"), many.get("Celery"))
    show(
        f"One `enqueue`; median of {ROUNDS}",
        ("", "ms", "× Celery"),
        [(name, f"{value:.2f}", ratio(value, celery[0])) for name, value in one.items()],
    )
    show(
        f"{MANY} in one call ({PEERS_MANY} in a loop for the others); median of {MANY_ROUNDS}",
        ("", "a second", "time × Celery"),
        [(name, f"{1 / value:.0f}", ratio(value, celery[1])) for name, value in many.items()],
    )


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
