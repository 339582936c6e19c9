"""What processes must keep to: nothing of ours runs that nobody answers for, nobody else is touched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from tests.soak import processes
from tests.soak.deeds import Deeds
from tests.soak.rules import SOON, Lasting, Once
from tests.soak.snapshot import Snapshot, Violation

SUPERVISOR = "-m forktask supervisor"


class Kin:
    """Each process with the mark is of the web server, a supervisor of the table, or descends from one of them.

    Args:
        command: Tells the command line of a process.
    """

    def __init__(self, command: Callable[[int], str] = processes.command) -> None:
        self._command = command
        self._strangers = Lasting(SOON)
        self._zombies = Lasting(SOON)

    def look(self, now: Snapshot) -> Iterator[Violation]:
        known = {one.pid for one in now.supervisors.values() if now.lives(one.process)} | now.web
        strangers: dict[object, str] = {}
        for pid in now.marked:
            seen = now.table.get(pid)
            if seen is not None and not seen.is_zombie and not known & set(processes.ancestors(pid, now.table)):
                strangers[seen.process] = f"{self._command(pid)!r} of session {seen.session} is nobody's"
        for key, what in self._strangers.late(now.at, strangers):
            yield Violation("every process is somebody's", _pid(key), what)
        for key, what in self._zombies.late(now.at, self._unreaped(now)):
            yield Violation("no zombies", _pid(key), what)

    def _unreaped(self, now: Snapshot) -> dict[object, str]:
        return {
            seen.process: f"a zombie of {seen.parent} {self._command(seen.parent)!r}"
            for seen in now.table.values()
            if seen.is_zombie and seen.parent in now.marked and not now.table[seen.parent].is_stopped
        }


class OneSupervisor:
    """No two supervisors with one name, but for one that was told to end."""

    def __init__(self, deeds: Deeds, command: Callable[[int], str] = processes.command) -> None:
        self._deeds = deeds
        self._command = command
        self._twins = Lasting(SOON)
        self.peak = 0

    def look(self, now: Snapshot) -> Iterator[Violation]:
        names: Counter[str] = Counter()
        for pid in now.marked:
            seen = now.table.get(pid)
            if seen is None or seen.is_zombie or SUPERVISOR not in (command := self._command(pid)):
                continue
            is_runner = seen.parent in now.marked and SUPERVISOR in self._command(seen.parent)
            if not is_runner and not self._deeds.signals.get(seen.process):
                names[command.rpartition(" ")[2]] += 1
        self.peak = max(self.peak, names.total())
        twins: dict[object, str] = {name: f"{count} supervisors" for name, count in names.items() if count > 1}
        for key, what in self._twins.late(now.at, twins):
            yield Violation("one supervisor for each version", str(key), what)


class Apart:
    """No socket of the web server is open in another process: not the one it listens on, no connection.

    Args:
        descriptors: Tells what a process has open.
    """

    def __init__(self, descriptors: Callable[[int], list[str]] = processes.descriptors) -> None:
        self._descriptors = descriptors
        self._shared = Lasting(SOON)  # a supervisor that is being started is handed its own

    def look(self, now: Snapshot) -> Iterator[Violation]:
        web = {pid for pid in now.marked if now.web & set(processes.ancestors(pid, now.table))}
        theirs = set[str]().union(*(self._sockets(pid) for pid in web))
        shared: dict[object, str] = {}
        for pid in now.marked - web:
            if pid in now.table and (common := self._sockets(pid) & theirs):
                shared[now.table[pid].process] = f"has {common} of the web server open"
        for key, what in self._shared.late(now.at, shared):
            yield Violation("nothing of the web server reaches a runner", _pid(key), what)

    def _sockets(self, pid: int) -> set[str]:
        return {name for name in self._descriptors(pid) if name.startswith("socket:")}


class Bystanders:
    """Processes of nobody in this: none of them may hear anything.

    Args:
        heard: Returns what each has heard, and whether it lives.
    """

    def __init__(self, heard: Callable[[], dict[int, str]]) -> None:
        self._heard = heard
        self._once = Once()

    def look(self, now: Snapshot) -> Iterator[Violation]:
        for pid, what in self._heard().items():
            if what and self._once.new((pid, what)):
                yield Violation("no signal to a stranger", str(pid), what)


def _pid(key: object) -> str:
    assert isinstance(key, processes.Process)
    return str(key.pid)
