"""The supervisor killed again and again while requests come in: every row ends, and says truly how."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from time import monotonic

import psutil

from forktask import State
from forktask.states import LIVE, Cause
from tests.process.site import Site
from tests.servers.serving import GTHREAD, Server, serving

REQUESTS = 300
PACE = 100
"""Requests a second, if the machine is fast enough."""
KILLS = 3
PLACES = "20"


def test_every_row_ends_truly_while_the_supervisor_is_killed_again_and_again(site: Site) -> None:
    with serving(site, *GTHREAD, "stream:app", FORKTASK_MAX_RUNNING=PLACES) as server:
        ids = stream(server)
        site.until(lambda: server.get("/") and not site.store.find(state=LIVE), "the end of all")
        rows = {status_id: site.row(status_id) for status_id in ids}
    lines = Counter((site.folder / "lines").read_text().split("\n"))
    assert set(Counter(lines.values())) == {1}, "nothing was run twice"
    assert {row.state for row in rows.values()} == {State.COMPLETED, State.LOST}
    for status_id, row in rows.items():
        began, ended = (f"{word} {status_id}" in lines for word in ("began", "ended"))
        if row.state is State.COMPLETED:
            assert began and ended
        else:
            assert row.cause is Cause.SUPERVISOR_GONE
            assert row.started_at is not None, "what had not begun is not lost"
            (attempt,) = site.store.attempts(row.id)
            assert attempt.cause is Cause.SUPERVISOR_GONE
    assert sum(row.state is State.LOST for row in rows.values()) <= KILLS * int(PLACES)


def kill_supervisor(site: Site) -> bool:
    """Kill the supervisor if a task is under way."""
    pids = {row.runner_pid for row in site.store.find(state=[State.RUNNING])}
    for supervisor in site.supervisors():
        with suppress(psutil.NoSuchProcess):
            if pids & {child.pid for child in supervisor.children()}:
                supervisor.kill()
                return True
    return False


def stream(server: Server) -> list[str]:
    """Ask for tasks at an even pace, and kill the supervisor meanwhile; return their ids."""
    begin = monotonic()
    pause = Event()  # never set

    def ask(number: int) -> str:
        pause.wait(max(0.0, begin + number / PACE - monotonic()))
        status_id: str = server.get("/start")["id"]
        return status_id

    with ThreadPoolExecutor(20) as pool:
        asked: list[Future[str]] = [pool.submit(ask, number) for number in range(REQUESTS)]
        for kill in range(1, KILLS + 1):
            asked[kill * REQUESTS // (KILLS + 1)].result()
            server.site.until(lambda: server.get("/") and kill_supervisor(server.site), "a task under way")
        return [answer.result() for answer in asked]
