"""What must not grow: descriptors, memory, processes and files of every part, measured at rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak import processes
from tests.soak.processes import Process
from tests.soak.site import Site
from tests.soak.snapshot import Snapshot, Violation

MIB = 1024 * 1024


@dataclass(frozen=True)
class Tolerance:
    """By how much a number may be larger than before."""

    share: float
    absolute: float

    def allows(self, before: float, after: float) -> bool:
        return after <= before * (1 + self.share) + self.absolute


OF_ONE = {
    "descriptors": Tolerance(0, 6),
    "anonymous memory": Tolerance(0.10, 6 * MIB),
    "children": Tolerance(0, 2),
}
"""Of one and the same process, before and after a time in which nobody killed it. A web process opens connections as
its threads need them, and both allocate in arenas of a mebibyte."""
OF_ALL = {
    "processes": Tolerance(0, 4),
    "bytes of write-ahead log": Tolerance(0, 160 * MIB),
    "server processes": Tolerance(0, 12),
    "server memory": Tolerance(0.5, 64 * MIB),
    "bytes of the longest log": Tolerance(0, 2 * MIB),
    "temporary files": Tolerance(0, 0),
    "files in the runtime directory but logs and locks": Tolerance(0, 1),
    "files of shared memory": Tolerance(0, 0),
}
"""Of the whole site, since its first rest. The runtime directory keeps a lock and a log for each version."""


@dataclass(frozen=True)
class Measure:
    """The numbers of one rest."""

    of_each: dict[tuple[str, Process], dict[str, int]] = field(default_factory=dict)
    of_all: dict[str, int] = field(default_factory=dict)
    details: dict[Process, list[str]] = field(default_factory=dict)
    """What the descriptors of each process are."""


def measure(site: Site, now: Snapshot) -> Measure:
    """Measure a site at rest."""
    supervisors = {one.process for one in now.supervisors.values() if now.lives(one.process)}
    parts = [("supervisor", one) for one in supervisors] + [("web worker", one) for one in site.workers()]
    if site.server is not None and (seen := processes.read(site.server.pid)) is not None:
        parts.append(("web server", seen.process))
    return Measure(
        of_each={part: _of_one(part[1], now) for part in parts},
        of_all=_of_all(site, now),
        details={process: processes.descriptors(process.pid) for _, process in parts},
    )


def _of_one(process: Process, now: Snapshot) -> dict[str, int]:
    return {
        "descriptors": len(processes.descriptors(process.pid)),
        "anonymous memory": processes.anonymous_memory(process.pid),
        "children": sum(one.parent == process.pid for one in now.table.values()),
    }


def _of_all(site: Site, now: Snapshot) -> dict[str, int]:
    names = [path.name for path in site.folders["run"].iterdir()]
    return {
        "processes": len(now.marked),
        "temporary files": sum(1 for _ in site.folders["temp"].rglob("*")),
        "files in the runtime directory but logs and locks": sum(not _is_kept(name) for name in names),
        "bytes of the longest log": max(path.stat().st_size for path in site.folders["run"].glob("*.log")),
        "files of shared memory": sum(1 for path in Path("/dev/shm").glob("*forktask*") if path.exists()),
        **site.database.sizes(),
    }


def _is_kept(name: str) -> bool:
    return name.endswith((".log", ".lock"))


def grown(before: Measure, after: Measure, *, each: bool) -> Iterator[Violation]:
    """Return what has grown.

    Args:
        each: Compare also each process that was there both times.
    """
    for name, tolerance in OF_ALL.items():
        old, new = before.of_all.get(name, 0), after.of_all.get(name, 0)
        if not tolerance.allows(old, new):
            yield Violation("flat", "", f"{name}: {old} at the first rest, {new} now")
    for key in before.of_each.keys() & after.of_each.keys() if each else ():
        part, process = key
        for name, tolerance in OF_ONE.items():
            old, new = before.of_each[key][name], after.of_each[key][name]
            if not tolerance.allows(old, new):
                more = Counter(after.details.get(process, ())) - Counter(before.details.get(process, ()))
                what = f"{name} of the {part}: {old} before, {new} after; new: {dict(more)}"
                yield Violation("flat", str(process.pid), what)
