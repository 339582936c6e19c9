"""What does a task that sleeps cost in memory, and do 500 of them run at once?

Proportional set size (PSS): what processes share counts once. Peers: fleets that can run four tasks at once, idle.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import _peers
import _runtimes
import psutil
from _application import sleeper
from _tables import print_head, show
from _timing import clean_up_when_told_to_end, rounds

from forktask import Runtime, TaskStatus

COUNTS = (1, 4, rounds(500, 8))
MEGABYTE = 2**20
AT_ONCE = 4


def pss(processes: Iterable[psutil.Process]) -> float:
    """Return what they take together, in megabytes."""
    total = 0
    for process in processes:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total * 1024 / MEGABYTE


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all that descend from it."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def asleep(runtime: Runtime, statuses: list[TaskStatus]) -> bool:
    """Return True if all of them have reported."""
    rows = [runtime.store.get(status.id) for status in statuses]
    return all(row is not None and row.percent == 50 for row in rows)


def start(runtime: Runtime, statuses: list[TaskStatus], count: int) -> float:
    """Let so many tasks sleep; return seconds until the last one had reported."""
    begin = time.monotonic()
    statuses += [sleeper.initiate() for _ in range(count - len(statuses))]
    _peers.wait_for(lambda: runtime.store.supervisors() and asleep(runtime, statuses), f"{count} tasks")
    return time.monotonic() - begin


def of_forktask() -> list[tuple[str, ...]]:
    """Return the rows about sleeping tasks."""
    rows: list[tuple[str, ...]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        _runtimes.database("SQLite", Path(folder)) as url,
        _runtimes.runtime(url, Path(folder), max_running=max(COUNTS)) as runtime,
    ):
        _runtimes.use(runtime)
        runtime.doorbell.ring(["hello"])
        statuses: list[TaskStatus] = []
        alone = 0.0
        for count in (0, *COUNTS):
            taken = start(runtime, statuses, count)
            time.sleep(1)  # a spare is forked, pages settle
            processes = family(runtime.store.supervisors()[0].pid)
            total = pss(processes)
            alone = alone or total
            each = f"{(total - alone) / count:.1f}" if count else ""
            rows.append((f"forktask, {count} asleep", f"{total:.0f}", each, f"{taken:.1f}" if count else ""))
            nursery = pss(one for one in processes if one.name() == "nursery")
            rows.append(
                ("– of this the supervisor and its nursery", f"{pss(processes[:1]):.0f} + {nursery:.0f}", "", "")
            )
        for status in statuses:
            status.cancel()
        _peers.wait_for(lambda: not runtime.store.under_way(), "the end of all")
    return rows


def of_peer(name: str, package: str, fleet: Callable[[], Any]) -> list[tuple[str, ...]]:
    """Return the row of an idle fleet."""
    if not _peers.is_there(package):
        return []
    before = {process.pid for process in psutil.Process().children()}
    with fleet():
        time.sleep(1)
        roots = [process.pid for process in psutil.Process().children() if process.pid not in before]
        total = pss(process for root in roots for process in family(root))
    return [(f"{name}, idle, room for {AT_ONCE}", f"{total:.0f}", f"{total / AT_ONCE:.1f}", "")]


def main() -> None:
    """Print the table."""
    print_head("Memory", "celery", "rq", "huey")
    rows = of_forktask()
    rows += of_peer("Celery", "celery", lambda: _peers.celery(AT_ONCE))
    rows += of_peer("RQ", "rq", lambda: _peers.rq(AT_ONCE))
    rows += of_peer("Huey", "huey", lambda: _peers.huey(AT_ONCE))
    head = ("", "together, MB PSS", "each (forktask: beyond the supervisor)", "all had reported after, s")
    show(f"Tasks that sleep; {os.cpu_count()} cores", head, rows)


if __name__ == "__main__":
    clean_up_when_told_to_end()
    main()
