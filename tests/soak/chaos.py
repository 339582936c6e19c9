"""What is done to a site: by people, to its processes, to its database. Seeded."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from os import kill
from typing import TypeVar

from tests.soak import processes
from tests.soak.clients import Clients
from tests.soak.deeds import Deeds
from tests.soak.processes import Process
from tests.soak.rules_processes import SUPERVISOR
from tests.soak.site import Site
from tests.soak.watch import Watch

T = TypeVar("T")

ENDINGS = (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV)
MOST_LIVE = 40
RECOVERY = 2.0
"""Seconds of patience between two blows: on a busy machine nothing would ever run between them."""
PILE_UP = 0.2
"""Share of blows that do not wait for that."""
PER_SECOND = 6.0


class Chaos:
    """Decides by one seeded dice, and does it.

    Attributes:
        over: Set when the soak is to stop what it is doing.
    """

    def __init__(self, site: Site, watch: Watch, clients: Clients, dice: random.Random) -> None:
        self.site = site
        self.watch = watch
        self.clients = clients
        self.deeds: Deeds = watch.deeds
        self.dice = dice
        self.over = threading.Event()
        self._struck_at = 0.0
        self._later = ThreadPoolExecutor(32, "later")
        self._database, self._web = threading.Lock(), threading.Lock()
        self.calm: dict[Callable[[], object], float] = {
            self.start: 50,
            self.cancel: 6,
            self.pause: 6,
            self.retry: 4,
            self.open_page: 8,
            self.wait: 8,
            self.end_runner: 6,
            self.stop_runner: 3,
            self.kill_spare: 1,
        }
        self.storm: dict[Callable[[], object], float] = self.calm | {
            self.kill_supervisor: 6,
            self.terminate_supervisor: 4,
            self.stop_supervisor: 4,
            self.kill_worker: 2,
            self.kill_web: 1,
            self.reload: 1,
            self.deploy: 2,
            self.take_database: 4,
        }

    def run(self, deeds: dict[Callable[[], object], float], seconds: float) -> None:
        """Do one deed after the other for so long."""
        timer = threading.Timer(seconds, self.over.set)
        self.over.clear()
        timer.start()
        while not self.over.wait(self.dice.expovariate(PER_SECOND)):
            (deed,) = self.dice.choices(list(deeds), list(deeds.values()))
            if deed in self.calm or self._may_strike():
                deed()
        timer.join()

    def _may_strike(self) -> bool:
        """Return True if the site has had time to recover from the last blow, or is not to have it."""
        at_once = self.dice.random() < PILE_UP
        if not at_once and self.watch.patience - self._struck_at < RECOVERY:
            return False
        self._struck_at = self.watch.patience
        return True

    def finish(self) -> None:
        """Wait for what was begun."""
        self._later.shutdown()

    def settle(self) -> None:
        """Let everything go that somebody holds."""
        for row in self.watch.live:
            if row.state == "paused":
                self.clients.order(row.id, "resume")

    def start(self) -> None:
        """Start a task of any kind."""
        if len(self.watch.live) + self.clients.pending < MOST_LIVE:
            self.clients.start(self.dice)

    def _any(self, found: Sequence[T]) -> T | None:
        choice = self.dice.random()  # always thrown, so that what follows does not depend on what there is
        return found[int(choice * len(found))] if found else None

    def _live(self, *states: str) -> str | None:
        row = self._any(sorted(row for row in self.watch.live if row.state in states))
        return row.id if row else None

    def cancel(self) -> None:
        """Cancel a status."""
        if status_id := self._live("queued", "running", "paused"):
            self.clients.order(status_id, "cancel")

    def pause(self) -> None:
        """Pause a status, and mostly resume it soon."""
        if sum(row.state == "paused" for row in self.watch.live) < 4 and (status_id := self._live("queued", "running")):
            self.clients.order(status_id, "pause")
            self._after(self.dice.uniform(0.1, 4), lambda: self.clients.order(status_id, "resume"))

    def retry(self) -> None:
        """Try a final status again."""
        final = [row for row in list(self.watch.known.values()) if row.state in ("failed", "cancelled", "lost")]
        if row := self._any(final[-50:]):
            self.clients.order(row.id, "retry")

    def open_page(self) -> None:
        """Open the page of a status, and ask as its bar does."""
        if status_id := self._live("queued", "running", "paused"):
            self.clients.open_page(status_id)

    def wait(self) -> None:
        """Wait for the end of a status."""
        if status_id := self._live("queued", "running"):
            self.clients.wait(status_id, self.dice.randint(1, 4))

    def _signal(self, process: Process, number: int) -> bool:
        """Signal a process if it is still the one that is meant."""
        seen = processes.read(process.pid)
        if seen is None or seen.process != process or seen.is_zombie:
            return False
        self.deeds.signal(process, number)
        with suppress(ProcessLookupError):
            kill(process.pid, number)
        return True

    def _runner(self, what: str) -> Process | None:
        row = self._any(sorted(row for row in self.watch.live if row.is_under_way))
        if row is None or row.runner is None:
            return None
        self.deeds.tell(row.id, f"{what} to its runner {row.runner_pid}")
        return row.runner

    def end_runner(self) -> None:
        """Kill a runner in one of the ways it can be killed."""
        number = self.dice.choice(ENDINGS)
        runner = self._runner(number.name)
        if runner and self._signal(runner, number):
            self.deeds.count(f"runner gets {number.name}")

    def stop_runner(self) -> None:
        """Stop a runner from outside, and let it go on."""
        runner, seconds = self._runner("SIGSTOP"), self.dice.uniform(0.2, 3)
        if runner and self._signal(runner, signal.SIGSTOP):
            self.deeds.count("runner gets SIGSTOP, SIGCONT")
            self._after(seconds, lambda: self._signal(runner, signal.SIGCONT))

    def _supervisors(self) -> list[Process]:
        now = self.watch.last
        found = [one.process for one in now.supervisors.values() if now.lives(one.process)] if now else []
        return sorted(found, key=lambda one: (one.ticks, one.pid))

    def kill_spare(self) -> None:
        """Kill any child of a supervisor, its nursery too."""
        supervisor, now = self._any(self._supervisors()), self.watch.last
        children = [one for one in now.table.values() if supervisor and one.parent == supervisor.pid] if now else []
        child = self._any(children)
        if child and SUPERVISOR in processes.command(child.pid) and self._signal(child.process, signal.SIGKILL):
            self.deeds.count("runner, spare or nursery gets SIGKILL")

    def kill_supervisor(self) -> None:
        """Kill a supervisor."""
        self._end_supervisor(signal.SIGKILL)

    def terminate_supervisor(self) -> None:
        """Tell a supervisor to end."""
        self._end_supervisor(signal.SIGTERM)

    def _end_supervisor(self, number: signal.Signals) -> None:
        supervisor = self._any(self._supervisors())
        if supervisor:
            self.deeds.outages += 1
            if self._signal(supervisor, number):
                self.deeds.count(f"supervisor gets {number.name}")

    def stop_supervisor(self) -> None:
        """Stop a supervisor for some seconds, as a busy or swapping machine does."""
        supervisor, seconds = self._any(self._supervisors()), self.dice.uniform(1, 6)

        if supervisor:
            self._later.submit(self._stop, supervisor, seconds)

    def _stop(self, supervisor: Process, seconds: float) -> None:
        with self.deeds.disturbing():
            if self._signal(supervisor, signal.SIGSTOP):
                self.deeds.count("supervisor gets SIGSTOP, SIGCONT")
                self.over.wait(seconds)
                self._signal(supervisor, signal.SIGCONT)

    def kill_worker(self) -> None:
        """Kill one worker of the web server, which starts another."""
        worker = self._any(self.site.workers())
        with self.deeds.disturbing():
            self.deeds.outages += 1  # it may hold arguments that it has not handed over yet
            if worker and self._signal(worker, signal.SIGKILL):
                self.deeds.count("web worker gets SIGKILL")

    def kill_web(self) -> None:
        """Kill the web server, all of it or its first process only, and start it again."""
        everything = self.dice.random() < 0.5
        self._later.submit(self._kill_web, everything)

    @contextmanager
    def _web_to_ourselves(self) -> Iterator[bool]:
        """Yield False if something else is being done to the web server: on a busy machine that takes long."""
        if not self._web.acquire(blocking=False):
            yield False
            return
        try:
            with self.deeds.disturbing():
                yield True
        finally:
            self._web.release()

    def _kill_web(self, everything: bool) -> None:
        with self._web_to_ourselves() as free:
            if not free:
                return
            workers = self.site.workers() if everything else []
            self.deeds.outages += 1
            server = self.site.server
            if server is not None:
                server.kill()
                server.wait()
            for worker in workers:
                self._signal(worker, signal.SIGKILL)
            self.deeds.count("web server gets SIGKILL, and starts again")
            self.site.start()

    def reload(self) -> None:
        """Have the web server reload."""
        self._later.submit(self._reload, False)

    def deploy(self) -> None:
        """Change the code, and have the web server reload."""
        self._later.submit(self._reload, True)

    def _reload(self, changed: bool) -> None:
        with self._web_to_ourselves() as free:
            if not free:
                return
            if changed:
                self.site.deploy()
            if self.site.server is not None and self.site.server.poll() is None:
                self.site.server.send_signal(signal.SIGHUP)
                self.deeds.count("deploy: new code, SIGHUP" if changed else "web server gets SIGHUP")
            self.over.wait(1)
            self.site.start()

    def take_database(self) -> None:
        """Have the database away for a while."""
        way, seconds = self.dice.choice(self.site.database.ways), self.dice.uniform(0.5, 5)
        self._later.submit(self._take_database, way, seconds)

    def _take_database(self, way: str, seconds: float) -> None:
        if not self._database.acquire(blocking=False):
            return
        try:
            with self.deeds.disturbing():
                self.deeds.outages += 1
                self.deeds.count(f"database: {way}")
                self.site.database.go(way)
                self.over.wait(seconds)
                self.site.database.come_back()
        finally:
            self._database.release()

    def _after(self, seconds: float, what: Callable[[], object]) -> None:
        self._later.submit(lambda: (self.over.wait(seconds), what()))
