"""The watch: looks at rows and processes several times a second, from the first moment to the last."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg

from tests.soak import processes
from tests.soak.bystanders import Strangers
from tests.soak.database import lately
from tests.soak.deeds import Deeds
from tests.soak.journal import Journal
from tests.soak.rules import Rule
from tests.soak.rules_causes import Causes
from tests.soak.rules_journal import Results, Runs
from tests.soak.rules_processes import Apart, Bystanders, Kin, OneSupervisor
from tests.soak.rules_rows import Ends, Moves, Places, Truth
from tests.soak.site import MARK, MAX_RUNNING, Site
from tests.soak.snapshot import LIVE, Row, Snapshot, Violation

INTERVAL = 0.25
AWAY = (sqlite3.Error, psycopg.Error)


@dataclass(frozen=True)
class Finding:
    """A violation, and what is known of it at that moment."""

    violation: Violation
    history: list[str]


class Watch(threading.Thread):
    """Looks on until it is ended.

    Attributes:
        live: The rows that were not final at the last look.
        known: Each row as it was last seen.
    """

    def __init__(self, site: Site, deeds: Deeds, strangers: Strangers) -> None:
        super().__init__(name="watch", daemon=True)
        self.site = site
        self.deeds = deeds
        self.known: dict[str, Row] = {}
        self.live: list[Row] = []
        self.last: Snapshot | None = None
        self.findings: list[Finding] = []
        self.looks = 0
        self.journal = Journal(site.folders["journal"])
        self.runs = Runs(self.journal, MAX_RUNNING)
        self.truth = Truth()
        self.ends = Ends()
        self.rules: list[Rule] = [
            *(self.runs, Results(self.journal), Moves(), self.ends, self.truth, Places(MAX_RUNNING)),
            *(Causes(self.journal, deeds), Kin(), Apart(), OneSupervisor(deeds), Bystanders(strangers.heard)),
        ]
        self._marks = processes.Marks(f"{MARK}={site.mark}")
        self._patience = self._disturbed_at = 0.0
        self._looked_at = time.monotonic()
        self._read_at: datetime | None = None
        self._over = threading.Event()
        self._one_at_a_time = threading.Lock()

    @property
    def patience(self) -> float:
        """Seconds of patience so far."""
        return self._patience

    @property
    def calm(self) -> float:
        """Seconds of patience since the last look at which the site was disturbed."""
        return self._patience - self._disturbed_at

    def run(self) -> None:
        """Look, again and again."""
        while not self._over.wait(INTERVAL):
            try:
                self.look()
            except Exception:  # a fault of the soak itself must be told, not end it in silence
                self.find(Violation("the soak itself", "", traceback.format_exc()))
                return

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def look(self, *, at_all: bool = False) -> Snapshot | None:
        """Look once; return None while the database is away.

        Args:
            at_all: Read every row, and not only what changed.
        """
        with self._one_at_a_time:
            now = self._snapshot(at_all=at_all)
            if now is None:
                return None
            self.looks += 1
            for rule in self.rules:
                for violation in rule.look(now):
                    self.find(violation)
            self.last = now
            return now

    def find(self, violation: Violation) -> None:
        """Keep a violation, with the history of what it is about."""
        row = self.known.get(violation.about)
        history = [f"last seen: {row}"] if row else []
        history += [str(end) for (status_id, _), end in self.ends.seen.items() if status_id == violation.about]
        history += [f"journal: {line}" for line in self.journal.lines.get(violation.about, ())]
        history += [f"deed: {what}" for what in self.deeds.told.get(violation.about, ())]
        history += [f"log: {line}" for line in self.site.excerpt(violation.about)] if violation.about else []
        self.findings.append(Finding(violation, history))
        print(f"VIOLATION {violation.invariant}: {violation.about}: {violation.what}", flush=True)

    def _snapshot(self, *, at_all: bool) -> Snapshot | None:
        disturbed = self.deeds.disturbances > 0
        self.runs.read()
        began, since = datetime.now(UTC), None if at_all else lately(self._read_at)
        try:
            with self.site.database.reading() as reading:
                rows = reading.changed(since)
                ids = None if since is None else list(rows)
                attempts, logs, supervisors = reading.attempts(ids), reading.logs(ids), reading.supervisors()
        except AWAY:
            self._looked_at = time.monotonic()
            return None
        self._read_at = began
        begin, used = time.monotonic(), time.thread_time()
        table = processes.everything()
        share = min(1.0, (time.thread_time() - used) / (time.monotonic() - begin))
        self._pass_time(0.0 if disturbed or self.deeds.disturbances else share)
        self.known.update(rows)
        self.live = [row for row in rows.values() if row.state in LIVE]
        return Snapshot(
            at=self._patience,
            rows=rows,
            attempts=attempts,
            logs=logs,
            supervisors=supervisors,
            table=table,
            marked=self._marks.of(table) - {os.getpid()},
            web={self.site.server.pid} if self.site.server else set(),
        )

    def _pass_time(self, share: float) -> None:
        """Let patience pass.

        Args:
            share: Of one core: what this very process got of it, as a measure for all others.
        """
        now = time.monotonic()
        if not share:
            self._disturbed_at = self._patience
        self._patience += share * min(now - self._looked_at, 2 * INTERVAL)
        self._looked_at = now
