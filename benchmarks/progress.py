"""What does it cost a task to report? `track` and `update` against tqdm, interleaved, in one process.

Run it with `python benchmarks/progress.py` (or `make bench`). Prints medians in nanoseconds an item, loop included,
and the ratio to tqdm with its defaults.
"""

from __future__ import annotations

import io
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from uuid import UUID

import tqdm

from forktask.live import LiveStatus
from forktask.progress import Page

ITEMS = 300_000
ROUNDS = 7


def live() -> LiveStatus:
    """Return a status that reports into a page nobody reads."""
    return LiveStatus(page=Page.anonymous(), send=lambda word, value: None, status_id=UUID(int=0), settings={})


def loop(items: Iterable[int]) -> None:
    """Go through the items and do nothing."""
    for _ in items:
        pass


def update_loop() -> None:
    """Report each item with a percentage and a text."""
    update = live().update
    for number in range(ITEMS):
        update(number * 100 / ITEMS, "Importing")


def tqdm_update_loop() -> None:
    """Report each item to a bar by hand."""
    with tqdm.tqdm(total=ITEMS, file=io.StringIO()) as bar:
        update = bar.update
        for _ in range(ITEMS):
            update(1)


CASES: dict[str, Callable[[], None]] = {
    "bare loop": lambda: loop(range(ITEMS)),
    "track, a list": lambda: loop(live().track(range(ITEMS))),
    "track, a generator": lambda: loop(live().track(number for number in range(ITEMS))),
    "update(percent, text)": update_loop,
    "tqdm, defaults": lambda: loop(tqdm.tqdm(range(ITEMS), file=io.StringIO())),
    "tqdm, bar.update(1)": tqdm_update_loop,
}


def measure() -> dict[str, float]:
    """Return the median of each case in nanoseconds an item; the cases take turns."""
    taken: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, case in CASES.items():
            begin = time.perf_counter()
            case()
            taken[name].append((time.perf_counter() - begin) / ITEMS * 1e9)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Print the table."""
    figures = measure()
    print(f"Python {platform.python_version()}, tqdm {tqdm.__version__}, {ITEMS} items, median of {ROUNDS} rounds")
    for name, figure in figures.items():
        print(f"{name:24} {figure:8.0f} ns   {figure / figures['tqdm, defaults']:5.2f} x tqdm")


if __name__ == "__main__":
    main()
