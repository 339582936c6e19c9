"""What empties a queue: forktask and the peers, each with what leaves so many tasks to it and what starts its workers.

Tasks lie ready before a worker is there. Two of them tell the clock of their first line: one after the first tenth, and
the last one; what is between them is what counts, so that no start of a worker does.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import _peers
import _runtimes
from _application import first_line, nothing
from _clock import Ear
from _order import in_order
from _timing import SMOKE

from forktask import Runtime

PROCESSES = 2
Leave = Callable[[str, int], object]
"""Leaves so many no-ops, two of which tell an address when they ran."""
Opened = tuple[Leave, Callable[[], AbstractContextManager[None]], Callable[[], None]]
"""What leaves tasks, what runs the workers, and what waits until all have ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """One means to run what was left to a queue.

    Attributes:
        count: How many tasks make a run of some seconds.
        open: Makes everything new for one run.
    """

    count: int
    open: Callable[
        [], AbstractContextManager[tuple[Leave, Callable[[], AbstractContextManager[None]], Callable[[], None]]]
    ]

    def measure(self, ear: Ear, count: int) -> float:
        """Return how many a second have passed."""
        with self.open() as (leave, work, settle):
            leave(ear.address, count)
            with work():
                begin = ear.hear()
                end = ear.hear()
                settle()
                if settle is not nothing_to_wait_for:
                    end = time.monotonic()
        return (count - count // 10) / (end - begin)


def nothing_to_wait_for() -> None:
    """Where the last line is the end."""


@contextmanager
def of_forktask(kind: str, folder: Path, *arguments: str) -> Iterator[Opened]:
    """Run `forktask worker` on a new database."""
    with _runtimes.database(kind, folder) as url, _runtimes.runtime(url, folder, start_method="inline") as runtime:
        _runtimes.use(runtime)
        runtime.store.create_tables()
        told = ("--processes", str(PROCESSES), *arguments)
        yield leave_to_forktask, lambda: forktask_worker(url, folder, *told), lambda: wait_until_completed(runtime)


def leave_to_forktask(address: str, count: int) -> None:
    """Leave them in as few calls as keep their order."""
    tenth = count // 10
    nothing.enqueue_many({} for _ in range(tenth))
    first_line.enqueue({"address": address})
    nothing.enqueue_many({} for _ in range(count - tenth - 2))
    first_line.enqueue({"address": address})


def wait_until_completed(runtime: Runtime) -> None:
    """Wait until every row says so."""
    left = "SELECT count(*) FROM forktask_status WHERE state <> 'completed'"
    with runtime.store.database.engine.connect() as connection:
        while connection.exec_driver_sql(left).scalar():
            time.sleep(0.002)


@contextmanager
def forktask_worker(url: str, folder: Path, *arguments: str) -> Iterator[None]:
    """Run a worker; its log says warnings only, as those of the peers."""
    env = {
        **os.environ,
        "FORKTASK_DATABASE_URL": url,
        "FORKTASK_RUNTIME_DIR": f"{folder}/run",
        "FORKTASK_APP": "_application:app",
        "FORKTASK_LOG_LEVEL": "WARNING",
        "PYTHONPATH": str(_peers.HERE),
    }
    command = [sys.executable, "-m", "forktask", "worker", *arguments]
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def workers(*commands: tuple[str, ...]) -> Iterator[None]:
    """Run some workers of a peer."""
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(_peers.worker(*command))
        yield


@contextmanager
def of_peer(name: str, *commands: tuple[str, ...], url: AbstractContextManager[str] | None = None) -> Iterator[Opened]:
    """Run the workers of a peer whose module is named like it, on a database of its own."""
    with url or _peers.database() as found:
        os.environ[f"BENCHMARK_{name.upper()}_URL"] = found
        module = _peers.fresh(f"_{name}")
        tell, idle = (_leaver(getattr(module, task)) for task in ("first_line", "nothing"))
        yield (
            lambda address, count: in_order(address, count, tell, idle),
            lambda: workers(*commands),
            nothing_to_wait_for,
        )


def _leaver(task: Any) -> Any:
    for verb in ("delay", "send", "enqueue"):
        if hasattr(task, verb):
            return getattr(task, verb)
    return task


@contextmanager
def of_rq(worker_class: str) -> Iterator[Opened]:
    """Run workers of RQ."""
    import _clock
    from redis import Redis
    from rq import Queue

    with _peers.database() as url, Redis.from_url(url) as connection:
        queue = Queue(connection=connection)
        command = ("rq.cli", "worker", "--url", url, "--logging_level", "ERROR", "--worker-class", worker_class)

        def leave(address: str, count: int) -> None:
            in_order(address, count, lambda to: queue.enqueue(_clock.tell, to), lambda: queue.enqueue(_clock.nothing))

        yield leave, lambda: workers(*[command] * PROCESSES), nothing_to_wait_for


@contextmanager
def of_procrastinate(folder: Path) -> Iterator[Opened]:
    """Run workers of Procrastinate on a new database of PostgreSQL."""
    with _runtimes.database("PostgreSQL", folder) as url:
        os.environ["BENCHMARK_PROCRASTINATE_URL"] = url.replace("+psycopg", "")
        module = _peers.fresh("_procrastinate")
        command = ("procrastinate", "--app", "_procrastinate.app", "worker")
        subprocess.run(
            [sys.executable, "-m", "procrastinate", "--app", "_procrastinate.app", "schema", "--apply"],
            cwd=_peers.HERE, check=True, capture_output=True,
        )  # fmt: skip
        with module.app.open():

            def leave(address: str, count: int) -> None:
                in_order(address, count, lambda to: module.first_line.defer(address=to), module.nothing.defer)

            yield leave, lambda: workers(*[command] * PROCESSES), nothing_to_wait_for


@contextmanager
def of_django(kind: str, folder: Path) -> Iterator[Opened]:
    """Run workers of django-tasks; what leaves tasks is a process of its own, since Django is set up once."""
    with _runtimes.database(kind, folder) as url:
        os.environ["BENCHMARK_DJANGO_URL"] = url
        manage = [sys.executable, str(_peers.HERE / "_django.py")]
        subprocess.run([*manage, "migrate"], check=True, capture_output=True)

        def leave(address: str, count: int) -> None:
            subprocess.run([*manage, "leave", address, str(count)], check=True)

        command = ("_django", "db_worker", "--interval", "0.1")
        yield leave, lambda: workers(*[command] * PROCESSES), nothing_to_wait_for


def drains(folder: Path) -> dict[str, Drain]:
    """Return what can be had here."""
    found = {name: drain for name, (needs, drain) in _known(folder).items() if all(map(_is_there, needs))}
    return dict(list(found.items())[:2]) if SMOKE else found


def _is_there(name: str) -> bool:
    if name == "redis":
        return _peers.is_there()
    if name == "PostgreSQL":
        return name in _runtimes.answering()
    return importlib.util.find_spec(name) is not None


def _known(folder: Path) -> dict[str, tuple[tuple[str, ...], Drain]]:
    """Return each case with what it needs."""
    kept = ("--tasks-per-runner", "1000")
    huey = ("huey.bin.huey_consumer", "_huey.huey", "-k", "process", "-w", str(PROCESSES), "-q")
    celery = ("celery", "-A", "_celery", "worker", "--pool=prefork", "--loglevel=ERROR", f"--concurrency={PROCESSES}")
    dramatiq = ("dramatiq", "_dramatiq", "--processes", str(PROCESSES))
    own, fast, slow, forks = 10_000, 8_000, 2_000, 400

    def drain(count: int, opened: Callable[[], AbstractContextManager[Opened]]) -> Drain:
        return Drain(count=count, open=opened)

    def file() -> AbstractContextManager[str]:
        return nullcontext(f"{folder}/{uuid4().hex}.huey")

    return {
        "forktask, SQLite, runners kept": ((), drain(own, lambda: of_forktask("SQLite", folder, *kept))),
        "forktask, SQLite, a process each": ((), drain(1000, lambda: of_forktask("SQLite", folder))),
        "forktask, PostgreSQL, runners kept": (
            ("PostgreSQL",), drain(own, lambda: of_forktask("PostgreSQL", folder, *kept)),
        ),
        "forktask, PostgreSQL, a process each": (
            ("PostgreSQL",), drain(1000, lambda: of_forktask("PostgreSQL", folder)),
        ),
        "Huey, Redis": (("redis", "huey"), drain(fast, lambda: of_peer("huey", huey))),
        "Huey, SQLite": (("huey",), drain(fast, lambda: of_peer("huey", huey, url=file()))),
        "Celery": (("redis", "celery"), drain(slow, lambda: of_peer("celery", celery))),
        "Dramatiq": (("redis", "dramatiq"), drain(slow, lambda: of_peer("dramatiq", dramatiq))),
        "RQ, no fork": (("redis", "rq"), drain(slow, lambda: of_rq("rq.worker.SimpleWorker"))),
        "RQ, fork for each job": (("redis", "rq"), drain(forks, lambda: of_rq("rq.worker.Worker"))),
        "Procrastinate": (("PostgreSQL", "procrastinate"), drain(slow, lambda: of_procrastinate(folder))),
        "django-tasks, SQLite": (("django_tasks_db", "django_tasks"), drain(slow, lambda: of_django("SQLite", folder))),
        "django-tasks, PostgreSQL": (
            ("PostgreSQL", "django_tasks_db", "django_tasks"), drain(forks, lambda: of_django("PostgreSQL", folder)),
        ),
    }  # fmt: skip
