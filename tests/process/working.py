"""Workers for tests: `forktask worker` as an operator starts it, but that its command line costs no interpreter."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forktask import host
from forktask.runtime import Runtime
from tests.databases import order
from tests.process.commands import environment
from tests.runtimes import PATIENCE
from tests.waiting import wait_until
from tests.warm import Command

StartWorker = Callable[..., subprocess.Popen[str]]


@contextmanager
def workers(runtime: Runtime) -> Iterator[StartWorker]:
    """Yield what starts workers on the database of a runtime; at the end they are told three times to end."""
    settings, env = runtime.settings, environment(runtime)
    started: list[subprocess.Popen[str]] = []

    def is_known(pid: int) -> bool:
        return any(row.pid == pid and row.kind == "worker" for row in runtime.store.supervisors())

    def start(*arguments: str, ready: bool = True, **more: str) -> subprocess.Popen[str]:
        number = len(started)
        log = Path(settings.runtime_dir).parent / f"worker{number}.log"
        with log.open("w") as file:
            process = Command("worker", *arguments, env={**env, **more}, stderr=file, stdout=file)
        started.append(process)
        if ready:
            wait_until(lambda: is_known(process.pid) or process.poll() is not None, PATIENCE, "a worker")
            assert process.poll() in (None, 0), log.read_text()
        return process

    try:
        yield start
    finally:
        for process in started:
            for _ in range(3):
                if process.poll() is None:
                    process.terminate()
        for process in started:
            process.wait(PATIENCE)


def log_of(runtime: Runtime, number: int = 0) -> str:
    """Return what the worker of that number has printed."""
    return (Path(runtime.settings.runtime_dir).parent / f"worker{number}.log").read_text()


def hears(runtime: Runtime, times: int = 1, number: int = 0) -> None:
    """Return once a worker has begun to listen so often."""
    wait_until(
        lambda: log_of(runtime, number).count(" hears other hosts\n") == times, PATIENCE, "a worker that listens"
    )


def move_away(runtime: Runtime) -> None:
    """Let the worker seem to be on another host: only the database reaches it."""
    order(runtime.settings.database_url, "UPDATE forktask_supervisor SET boot_id = 'elsewhere' WHERE kind = 'worker'")
    take_bell(runtime)


def take_bell(runtime: Runtime) -> None:
    for bell in Path(host.private_directory(runtime.settings.runtime_dir).path).glob("bell.*"):
        bell.unlink()
