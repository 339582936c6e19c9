"""The people of a site: they start, steer, look and wait, over HTTP; and what they are answered is judged."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec

from tests.soak.rules import SOON
from tests.soak.site import Answer, Site
from tests.soak.snapshot import FINAL, Violation
from tests.soak.watch import Watch

P = ParamSpec("P")

KINDS = {
    "short": 6,
    "long": 4,
    "failing": 2,
    "retrying": 4,
    "resumable": 4,
    "late": 2,
    "lateagain": 2,
    "family": 3,
    "shell": 1,
    "private": 3,
    "deaf": 2,
    "chatty": 2,
    "ending": 3,
    "parent": 1.5,
    "spawned": 1,
}
LOOK_INTERVAL = 0.5
LOOKS_AT_ONCE = 25
EXCUSED_FOR = 15.0
"""Seconds after a disturbance in which a request may still fail from it; so may it within SOON of patience."""


class Clients:
    """Many people at a time, each request on a thread.

    Attributes:
        returned: Ids that were returned by a start.
        pending: How many requests are under way, or will be.
    """

    def __init__(self, site: Site, watch: Watch) -> None:
        self.site = site
        self.watch = watch
        self.deeds = watch.deeds
        self.returned: set[str] = set()
        self._pool = ThreadPoolExecutor(12, "client")
        self._lock = threading.Lock()
        self.pending = 0
        self._over = threading.Event()
        self._looker = threading.Thread(target=self._look, name="looker", daemon=True)

    def _submit(self, request: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        with self._lock:
            self.pending += 1
        self._pool.submit(request, *args, **kwargs).add_done_callback(self._done)

    def _done(self, future: Future[None]) -> None:
        with self._lock:
            self.pending -= 1
        if (error := future.exception()) is not None:
            self.watch.find(Violation("the soak itself", "", repr(error)))

    def begin(self) -> None:
        """Begin to look at everything that is under way."""
        self._looker.start()

    def end(self) -> None:
        """Wait for the last answer."""
        self._over.set()
        self._looker.join()
        self._pool.shutdown()

    def start(self, dice: random.Random) -> None:
        """Start a task of any kind."""
        (kind,) = dice.choices(list(KINDS), list(KINDS.values()))
        settings = {"seconds": dice.uniform(0.2, 5), "way": dice.randrange(4)}
        self._submit(self._start, kind, settings)

    def _start(self, kind: str, settings: dict[str, float]) -> None:
        answer = self._ask(f"/start/{kind}", settings)
        self.deeds.count(f"start {kind}" if answer.code == 200 else f"start: answer {answer.code}")
        if answer.code == 200:
            self.returned.add(answer.value["id"])

    def order(self, status_id: str, verb: str) -> None:
        """Cancel, pause, resume or retry."""
        self.deeds.order(status_id, verb)
        self._submit(self._order, status_id, verb)

    def _order(self, status_id: str, verb: str) -> None:
        answer = self._ask(f"/{verb}/{status_id}", {})
        self.deeds.count(verb if answer.code == 200 else f"{verb}: answer {answer.code}")

    def open_page(self, status_id: str) -> None:
        """Open a page with a bar, and ask once as the bar does."""
        self._submit(self._open_page, status_id)

    def _open_page(self, status_id: str) -> None:
        page = self._ask(f"/page/{status_id}")
        self.deeds.count("open a page")
        if found := re.search(r'hx-get="([^"]+)"', page.text):
            self._ask(found[1].replace("&amp;", "&"))

    def wait(self, status_id: str, seconds: int) -> None:
        """Wait for the end of a status in a request."""
        self._submit(self._wait, status_id, seconds)

    def _wait(self, status_id: str, seconds: int) -> None:
        begin = time.monotonic()
        answer = self._ask(f"/wait/{status_id}/{seconds}")
        self.deeds.count("wait")
        waited = time.monotonic() - begin
        if answer.code == 200 and answer.value["state"] not in FINAL and waited < seconds - 0.1:
            what = f"waited {waited:.2f} s of {seconds}, and it is {answer.value['state']}"
            self.watch.find(Violation("wait returns at the end, or when time is up", status_id, what))

    def _look(self) -> None:
        """Look at what is under way, about once a second each, as open pages do."""
        turn = 0
        while not self._over.wait(LOOK_INTERVAL):
            live = sorted(self.watch.live, key=lambda row: (not row.is_under_way, row.id))
            some = live[: LOOKS_AT_ONCE // 2] + live[LOOKS_AT_ONCE // 2 :][turn : turn + LOOKS_AT_ONCE // 2]
            turn = turn + LOOKS_AT_ONCE // 2 if turn < len(live) else 0
            for row in some:
                if self._over.is_set():
                    return
                self._ask(f"/status/{row.id}", timeout=20)
                self.deeds.count("look")

    def _ask(self, path: str, body: object = None, timeout: float = 60) -> Answer:
        """Ask, and judge the answer: a site that nobody disturbs answers everything."""
        begin, patience = time.monotonic(), self.watch.patience
        answer = self.site.ask(path, body, timeout)
        disturbed = self.deeds.disturbed_since(begin - EXCUSED_FOR) or self.watch.calm < SOON
        excused = disturbed or ("timed out" in answer.text and self.watch.patience - patience < SOON)
        if answer.code in (404, 500) or (answer.code in (0, 503) and not excused):
            self.site.tell_where()
            what = f"{path}: {answer.code} {answer.text[:300]}"
            self.watch.find(Violation("a request is answered", path.rpartition("/")[2], what))
        return answer
