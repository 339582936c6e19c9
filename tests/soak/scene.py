"""One soak on one database: calm and storm by turns, at rest in between, and nothing left at the end."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.marks import marked
from tests.soak import flatness
from tests.soak.bystanders import Strangers
from tests.soak.chaos import Chaos
from tests.soak.clients import Clients
from tests.soak.database import DATABASES
from tests.soak.deeds import Deeds
from tests.soak.flatness import Measure
from tests.soak.rules import TOGETHER
from tests.soak.site import MARK, WORKERS, Site
from tests.soak.snapshot import LIVE, Snapshot, Violation
from tests.soak.watch import Watch
from tests.waiting import wait_until

REST = 3 * TOGETHER
"""Seconds of patience until everything is final: rows of a supervisor that is gone wait for 30 s, some in turn."""
AT_ALL = 900.0
"""Seconds, whatever the clock of patience says."""


@dataclass(frozen=True)
class Plan:
    """How long what lasts, in seconds."""

    cycles: int
    warm_up: float
    calm: float
    storm: float


def plan(minutes: float) -> Plan:
    """Return what fits into so many minutes, rests and end included."""
    cycles = max(1, round(minutes / 10))
    each = minutes * 60 / cycles
    rests = min(90.0, each * 0.35)
    active = each - rests
    return Plan(cycles=cycles, warm_up=active * 0.1, calm=active * 0.35, storm=active * 0.55)


class Scene:
    """A site, those who use it, what happens to it, and who watches.

    Attributes:
        first: The numbers of the first rest, to which all later ones are compared.
        measures: Those of all rests.
    """

    def __init__(self, kind: str, folder: Path, seed: int) -> None:
        self.kind = kind
        self.begin = time.monotonic()
        self.database = DATABASES[kind](folder)
        self.site = Site(folder, self.database)
        self.deeds = Deeds()
        self.strangers = Strangers(folder)
        self.watch = Watch(self.site, self.deeds, self.strangers)
        self.clients = Clients(self.site, self.watch)
        self.chaos = Chaos(self.site, self.watch, self.clients, random.Random(f"{seed} {kind}"))
        self.first: Measure | None = None
        self._looked = 0
        self.measures: list[Measure] = []

    def play(self, plan: Plan) -> None:
        """Run all of it."""
        self.site.start()
        self.watch.start()
        self.clients.begin()
        for _ in range(plan.cycles):
            self._say("calm")
            self.chaos.run(self.chaos.calm, plan.warm_up)
            before = self._rest()
            self.chaos.run(self.chaos.calm, plan.calm)
            self._compare(before, self._rest(), each=True)
            self._say("storm")
            self.chaos.run(self.chaos.storm, plan.storm)
            self._compare(self.first, self._rest(), each=False)
        self._end()

    def _say(self, what: str) -> None:
        passed = time.monotonic() - self.begin
        states = dict(Counter(row.state for row in self.watch.known.values()))
        print(f"[{self.kind}] {passed:.0f} s, {what}: {states}", flush=True)

    def _rest(self) -> Measure | None:
        """Wait until everything is final and one supervisor is left; return the numbers of this moment."""
        self._say("rest")
        wait_until(lambda: not self._is_busy(), timeout=AT_ALL, what="the end of all that was begun")
        now = self._patiently(self._at_rest, "everything becomes final")
        if now is None:
            return None
        found = flatness.measure(self.site, now)
        self.first = self.first or found
        self.measures.append(found)
        return found

    def _is_busy(self) -> bool:
        return bool(self.deeds.disturbances or self.clients.pending)

    def _at_rest(self) -> Snapshot | None:
        if self.watch.looks == self._looked:
            return None
        self._looked = self.watch.looks
        if self.watch.live:
            self.chaos.settle()
            return None
        now = self.watch.look(at_all=True)
        if now is None or any(row.state in LIVE for row in now.rows.values()):
            return None
        supervisors = [one for one in now.supervisors.values() if now.lives(one.process)]
        if not supervisors:  # the last one was killed, and nobody needed another one since: what it left is seen to
            self.site.ask("/start/short", {})
            return None
        sockets = {path.name for path in self.site.folders["run"].iterdir() if not path.suffix}
        is_tidy = len(supervisors) == 1 and len(self.site.workers()) == WORKERS and len(sockets) == 1
        return now if is_tidy else None

    def _patiently(self, condition: Callable[[], Snapshot | None], what: str) -> Snapshot | None:
        """Wait on the clock of patience; a violation if that runs out."""
        until = self.watch.patience + REST
        found: list[Snapshot | None] = []

        def met() -> bool:
            found.append(condition())
            return found[-1] is not None or self.watch.patience > until or not self.watch.is_alive()

        with suppress(AssertionError):
            wait_until(met, timeout=AT_ALL)
        if found[-1] is None:
            live = list(self.watch.live)
            self.watch.find(Violation(what, live[0].id if live else "", f"not in {REST:g} s of patience: {live}"))
        return found[-1]

    def _compare(self, before: Measure | None, after: Measure | None, *, each: bool) -> None:
        if before is not None and after is not None:
            for violation in flatness.grown(before, after, each=each):
                self.watch.find(violation)

    def _end(self) -> None:
        """Stop the web server, and see everything leave by itself."""
        self._say("end")
        self.clients.end()
        self.chaos.finish()
        self.watch.look(at_all=True)
        for status_id in self.clients.returned - self.watch.known.keys():
            self.watch.find(Violation("a returned id is known", status_id, "there is no such row"))
        self.site.stop()
        self._patiently(self._all_gone, "nothing is left running")
        self.watch.end()
        self._left()
        self._files()

    def _left(self) -> None:
        """See that every supervisor that could has said that it leaves."""
        now = self.watch.look()
        for one in now.supervisors.values() if now is not None else ():
            if not one.has_left and not self.deeds.sent(one.process, signal.SIGKILL):
                self.watch.find(Violation("who leaves says so", str(one.pid), f"{one} is gone without a word"))

    def _all_gone(self) -> Snapshot | None:
        if self.watch.looks == self._looked:
            return None
        self._looked = self.watch.looks
        return self.watch.last if self.watch.last and not self.watch.last.marked else None

    def _files(self) -> None:
        left = [path.name for path in self.site.folders["run"].iterdir() if path.suffix not in (".log", ".lock")]
        left += [str(path) for path in self.site.folders["temp"].rglob("*")]
        if left:
            self.watch.find(Violation("nothing is left but logs and locks", "", ", ".join(left)))
        log = self.site.supervisor_log()
        if " in the loop\n" in log:
            at = max(0, log.index(" in the loop\n") - 200)
            self.watch.find(Violation("no error in the loop", "", log[at : at + 3000]))

    def close(self) -> None:
        """End whatever is there."""
        if self.watch.is_alive():
            self.watch.end()
        for process in marked(MARK, self.site.mark):
            with suppress(psutil.Error):
                process.kill()
        self.strangers.end()
        self.database.close()


@contextmanager
def scene(kind: str, folder: Path, seed: int) -> Iterator[Scene]:
    """Yield a scene, and leave nothing of it."""
    found = Scene(kind, folder, seed)
    try:
        yield found
    finally:
        found.close()
