"""What does it cost a task to report? `track` and `update` against tqdm, Celery's `update_state` and RQ's `job.meta`.

Loops take turns in one process, with Celery's reports between them, each of these after 25 ms of idling. Of loops it is
the processor's time, which others who keep it busy do not lengthen; who reports to a server also waits for it.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from uuid import UUID

import _peers
import tqdm
from _tables import median, print_head, ratio, show
from _timing import clean_up_when_told_to_end, each, rounds

from forktask.live import LiveStatus
from forktask.progress import Page

ITEMS = rounds(200_000, 1_000)
ROUNDS = rounds(15, 1)
SLOW = rounds(10, 1)
"""Reports of Celery and RQ a round."""


def live() -> LiveStatus:
    """Return a status that reports into a page nobody reads."""
    return LiveStatus(page=Page.anonymous(), send=lambda word, value: None, status_id=UUID(int=0), settings={})


def loop(items: Iterable[int]) -> None:
    """Go through the items and do nothing."""
    for _ in items:
        pass


def update_loop() -> None:
    """Report each item with a percentage and a text."""
    update, share = live().update, 100 / ITEMS
    for number in range(ITEMS):
        update(number * share, "Importing")


def tqdm_update_loop() -> None:
    """Report each item to a bar by hand."""
    with tqdm.tqdm(total=ITEMS, file=io.StringIO()) as bar:
        update = bar.update
        for _ in range(ITEMS):
            update(1)


CASES: dict[str, Callable[[], None]] = {
    "bare loop": lambda: loop(range(ITEMS)),
    "`track`, a list": lambda: loop(live().track(range(ITEMS))),
    "`track`, a generator": lambda: loop(live().track(number for number in range(ITEMS))),
    "`update(percent, text)`": update_loop,
    "tqdm, defaults": lambda: loop(tqdm.tqdm(range(ITEMS), file=io.StringIO())),
    "tqdm, `bar.update(1)`": tqdm_update_loop,
}


def slow_cases(stack: ExitStack) -> dict[str, Callable[[], list[float]]]:
    """Return what makes some reports of each peer that is there, and says how long each took in seconds."""
    found: dict[str, Callable[[], list[float]]] = {}
    if _peers.is_there("celery"):
        celery = stack.enter_context(_peers.celery())
        found["Celery, `update_state`"] = lambda: celery.report.delay(SLOW).get(timeout=60)
    if _peers.is_there("rq"):
        job = stack.enter_context(_peers.rq_job())
        found["RQ, `job.meta` and `save_meta`"] = lambda: each(job, SLOW)
    return found


def measure(slow: dict[str, Callable[[], list[float]]]) -> dict[str, float]:
    """Return the median of each case in nanoseconds an item."""
    taken: dict[str, list[float]] = {name: [] for name in (*CASES, *slow)}
    for _ in range(ROUNDS):
        for name, case in CASES.items():
            begin = time.process_time()
            case()
            taken[name].append((time.process_time() - begin) / ITEMS)
        for name, reports in slow.items():
            taken[name] += reports()
    return {name: median(values, 1e9) for name, values in taken.items()}


def main() -> None:
    """Print the table."""
    print_head("Progress", "tqdm", "celery", "redis", "rq")
    with ExitStack() as stack:
        figures = measure(slow_cases(stack))
    bar, celery = figures["tqdm, defaults"], figures.get("Celery, `update_state`")
    rows = [(name, f"{figure:,.0f}", ratio(figure, bar), ratio(figure, celery)) for name, figure in figures.items()]
    what = "loops: the processor's time, items included; Celery and RQ: what it takes"
    title = f"One report ({what}); {ITEMS:,} items, median of {ROUNDS} rounds"
    show(title, ("", "ns", "× tqdm", "× Celery"), rows)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
