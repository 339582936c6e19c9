"""Workers of the peers, started and ended here; each on a Redis database of its own that was empty."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REDIS = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/0").rpartition("/")[0]
TAKEN = "forktask-benchmark"
PATIENCE = 120.0
Start = Callable[[str], object]
"""Starts a task that tells the clock of its first line to this address."""


def is_there(*modules: str) -> bool:
    """Return True if the peers' packages are installed and Redis answers."""
    if not all(importlib.util.find_spec(name) for name in ("redis", *modules)):
        return False
    from redis import Redis, RedisError

    with suppress(RedisError), Redis.from_url(f"{REDIS}/0") as connection:
        return bool(connection.ping())
    return False


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a Redis database that nobody uses; at the end it is empty again."""
    from redis import Redis

    for number in range(15, 0, -1):
        connection = Redis.from_url(f"{REDIS}/{number}")
        if connection.dbsize() == 0 and connection.set(TAKEN, os.getpid(), nx=True):
            break
    else:
        raise RuntimeError(f"no database of {REDIS} is empty")
    try:
        yield f"{REDIS}/{number}"
    finally:
        connection.flushdb()
        connection.close()


@contextmanager
def worker(*command: str) -> Iterator[None]:
    """Run a worker of a peer; at the end it and its children are gone."""
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=HERE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come in {PATIENCE:.0f} s")
        time.sleep(0.05)


def fresh(name: str) -> Any:
    """Import a module anew: it connects where the environment says now."""
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@contextmanager
def celery(processes: int = 1) -> Iterator[Any]:
    """Yield the module with the tasks of Celery, a prefork worker waiting for them."""
    with database() as url:
        os.environ["BENCHMARK_CELERY_URL"] = url
        module = fresh("_celery")
        arguments = ("-A", "_celery", "worker", "--pool=prefork", "--loglevel=ERROR")
        with worker("celery", *arguments, f"--concurrency={processes}"):
            wait_for(_answers, "a worker of Celery")
            yield module
        module.app.close()


def _answers() -> bool:
    """Ask the worker, from another process: here it would leave a channel open on which forks then hang."""
    command = [sys.executable, "-m", "celery", "-A", "_celery", "inspect", "ping", "--timeout", "1"]
    return not subprocess.run(command, cwd=HERE, capture_output=True, check=False).returncode


@contextmanager
def rq(processes: int = 1, job: str = "tell") -> Iterator[Callable[[str], Any]]:
    """Yield what starts a job of RQ, whose workers fork for each."""
    import _clock
    from redis import Redis
    from rq import Queue, Worker

    with database() as url, Redis.from_url(url) as connection:
        queue = Queue(connection=connection)
        with ExitStack() as workers:
            for _ in range(processes):
                workers.enter_context(worker("rq.cli", "worker", "--url", url, "--logging_level", "ERROR"))
            wait_for(lambda: len(Worker.all(connection=connection)) == processes, "a worker of RQ")
            yield lambda address: queue.enqueue(getattr(_clock, job), address)


@contextmanager
def rq_job() -> Iterator[Callable[[], object]]:
    """Yield what reports once from a job of RQ, as the job itself would."""
    from redis import Redis
    from rq import Queue

    with database() as url, Redis.from_url(url) as connection:
        job: Any = Queue(connection=connection).enqueue(print)

        def report() -> None:
            job.meta["percent"], job.meta["message"] = 50.0, "Importing"
            job.save_meta()

        yield report


@contextmanager
def huey(processes: int = 1) -> Iterator[Start]:
    """Yield what starts a task of Huey, processes waiting for it."""
    with database() as url:
        os.environ["BENCHMARK_HUEY_URL"] = url
        module = fresh("_huey")
        with worker("huey.bin.huey_consumer", "_huey.huey", "-k", "process", "-w", str(processes), "-q"):
            yield module.first_line


def _celery_start(name: str) -> Callable[[str], Any]:
    @contextmanager
    def start(folder: str) -> Iterator[Start]:
        with celery() as module:
            yield getattr(module, name).delay

    return start


STARTS: dict[str, Callable[[str], Any]] = {
    "Celery": _celery_start("first_line"),
    "Celery, results ignored": _celery_start("first_line_only"),
    "RQ": lambda folder: rq(),
    "Huey": lambda folder: huey(),
}


@contextmanager
def _waiting(name: str) -> Iterator[Start]:
    """Yield what leaves a task to a queue that no worker serves."""
    with database() as url:
        os.environ[f"BENCHMARK_{name.upper()}_URL"] = url
        if name == "Celery":
            module = fresh("_celery")
            yield module.first_line.delay
            module.app.close()
        elif name == "Huey":
            yield fresh("_huey").first_line
        else:
            import _clock
            from redis import Redis
            from rq import Queue

            with Redis.from_url(url) as connection:
                queue = Queue(connection=connection)
                yield lambda address: queue.enqueue(_clock.tell, address)


QUEUES: dict[str, Callable[[], Any]] = {
    "Celery": lambda: _waiting("Celery"),
    "RQ": lambda: _waiting("RQ"),
    "Huey": lambda: _waiting("Huey"),
}


def can_be_had(means: str) -> bool:
    """Return True for what needs no package, or one that is installed, with Redis."""
    return means not in STARTS or is_there(means.partition(",")[0].lower())
