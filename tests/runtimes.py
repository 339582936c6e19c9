"""A runtime with a supervisor of its own for each test, and proof that nothing of it is left."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from forktask import process
from forktask.config import Settings
from forktask.identity import Identity
from forktask.proof import identity_of
from forktask.rows import SupervisorRow
from forktask.runtime import Runtime
from forktask.status import TaskStatus
from forktask.store import Store
from tests import warm
from tests.databases import BOTH, KINDS, database_url
from tests.marks import marked
from tests.waiting import wait_until

MARK = "TEST_RUNTIME_ID"
"""Environment variable that every process of one runtime inherits."""
PATIENCE = 60.0
NURSERY = "nursery"
"""What `ps -o comm` says of it."""

QUICK: dict[str, Any] = {
    "app": "tests.zoo:",
    "version": "test",
    "sample_interval": 0.05,
    "heartbeat_interval": 0.5,
    "stop_timeout": 0.3,
    "idle_exit": 1.0,
}

_current: Runtime | None = None
Runtime.use(lambda: _current)


class MakeRuntime(Protocol):
    """Makes a runtime with other settings, and makes it the current one."""

    def __call__(self, **settings: Any) -> Runtime: ...


@contextmanager
def runtimes(url: str, directory: Path) -> Iterator[MakeRuntime]:
    """Yield what makes runtimes on one database; at the end nothing of them may be left."""
    global _current
    mark = uuid.uuid4().hex
    made: list[Runtime] = []

    def make(**settings: Any) -> Runtime:
        global _current
        given = {"database_url": url, "runtime_dir": str(directory / "run"), **QUICK, **settings}
        _current = Runtime(Settings(**given))
        made.append(_current)
        return _current

    with pytest.MonkeyPatch.context() as patch, warm.supervisors():
        patch.setenv(MARK, mark)
        try:
            yield make
        finally:
            _current = None
            for runtime in made:
                runtime.close()
            end_all(mark)
    for path in {path for runtime in made for path in Path(runtime.settings.runtime_dir).glob("*.log")}:
        log = path.read_text()
        assert " in the loop\n" not in log, f"an error that the supervisor survived:\n{log}"


def end_all(mark: str) -> None:
    """End the supervisors that carry the mark as a service manager does; fail if anything else stays."""

    def asked() -> bool:
        found = marked(MARK, mark)
        for one in found:
            if is_supervisor(one):
                _send(one, signal.SIGCONT)
                _send(one, signal.SIGTERM)
        return not found

    try:
        wait_until(asked, timeout=15)
    except AssertionError:
        left = marked(MARK, mark)
        told = [f"{one.pid} {' '.join(one.cmdline())}" for one in left if one.is_running()]
        for one in left:
            _send(one, signal.SIGKILL)
        pytest.fail("left running: " + "; ".join(told), pytrace=False)


def is_supervisor(one: psutil.Process) -> bool:
    """Return True for a supervisor; its forked runners share its command line and are told by their parent."""
    try:
        parent = one.parent()
        return "supervisor" in one.cmdline() and not (parent is not None and "supervisor" in parent.cmdline())
    except psutil.Error:
        return False


def _send(one: psutil.Process, number: int) -> None:
    try:
        one.send_signal(number)
    except psutil.Error:
        return


@pytest.fixture
def make_runtime(tmp_path: Path) -> Iterator[MakeRuntime]:
    """Give what makes runtimes on an SQLite database of this test alone."""
    with database_url("sqlite", tmp_path) as url, runtimes(url, tmp_path) as make:
        yield make


@pytest.fixture(params=KINDS)
def make_runtime_each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeRuntime]:
    """Give what makes runtimes on a database of this test alone, on each kind in turn."""
    with database_url(request.param, tmp_path) as url, runtimes(url, tmp_path) as make:
        yield make


@pytest.fixture(params=BOTH)
def make_runtime_both(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeRuntime]:
    """Give what makes runtimes on a file and on a server, for what takes a start or more and is not about SQL."""
    with database_url(request.param, tmp_path) as url, runtimes(url, tmp_path) as make:
        yield make


@pytest.fixture
def own_runtime(make_runtime: MakeRuntime) -> Runtime:
    """Give a runtime of this test alone, on SQLite; it is the current one."""
    return make_runtime()


@pytest.fixture
def own_runtime_each(make_runtime_each: MakeRuntime) -> Runtime:
    """Give a runtime of this test alone, on each kind of database in turn; it is the current one."""
    return make_runtime_each()


@pytest.fixture
def own_runtime_both(make_runtime_both: MakeRuntime) -> Runtime:
    """Give a runtime of this test alone, on a file and on a server in turn; it is the current one."""
    return make_runtime_both()


@pytest.fixture(scope="module")
def _shared_runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    yield from _shared("sqlite", tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module", params=KINDS)
def _shared_runtime_each(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    yield from _shared(request.param, tmp_path_factory.mktemp("shared"))


def _shared(kind: str, directory: Path) -> Iterator[Runtime]:
    with database_url(kind, directory) as url, runtimes(url, directory) as make:
        yield make(idle_exit=60)


@pytest.fixture
def runtime(_shared_runtime: Runtime) -> Iterator[Runtime]:
    """Give the runtime of this module on SQLite; it is the current one. Its supervisor must survive the test."""
    yield from _current_is(_shared_runtime)


@pytest.fixture
def runtime_each(_shared_runtime_each: Runtime) -> Iterator[Runtime]:
    """Give the runtime of this module on each kind of database in turn; as `runtime`."""
    yield from _current_is(_shared_runtime_each)


def _current_is(runtime: Runtime) -> Iterator[Runtime]:
    global _current
    before, _current = _current, runtime
    yield runtime
    _current = before


def supervisors(store: Store) -> list[SupervisorRow]:
    """Return the rows of supervisors whose process lives."""
    return [row for row in store.supervisors() if process.is_alive(identity_of(row))]


def the_supervisor(store: Store) -> Identity:
    """Wait for the only living supervisor and return who it is."""
    found = wait_until(lambda: supervisors(store), PATIENCE, "a supervisor")
    assert len(found) == 1, found
    return identity_of(found[0])


def nursery_of(supervisor: Identity) -> psutil.Process | None:
    """Return the process that forks the runners of a supervisor, if it has one now."""
    return next((one for one in _children(supervisor) if _name(one) == NURSERY), None)


def runners_of(supervisor: Identity) -> list[psutil.Process]:
    """Return the children of a supervisor that are runners, spares among them, and zombies."""
    return [one for one in _children(supervisor) if _name(one) not in (NURSERY, "")]


def _children(supervisor: Identity) -> list[psutil.Process]:
    try:
        return psutil.Process(supervisor.pid).children()
    except psutil.Error:
        return []


def _name(one: psutil.Process) -> str:
    try:
        return Path(f"/proc/{one.pid}/comm").read_text().rstrip()
    except OSError:  # it is gone
        return ""


def stays(runtime: Runtime, seconds: float) -> None:
    """Return once the only supervisor has written heartbeats for so long."""
    (before,) = runtime.store.supervisors()

    def has_stayed() -> bool:
        (now,) = runtime.store.supervisors()
        assert now.id == before.id
        return (now.heartbeat_at - before.heartbeat_at).total_seconds() > seconds

    wait_until(has_stayed, PATIENCE, f"{seconds:g} s of heartbeats")


def runner_of(status: TaskStatus) -> Identity:
    """Wait until an attempt is under way and return its process."""

    def found() -> Identity | None:
        row = status.refresh().row
        if row.runner_pid is None or row.runner_start_ticks is None:
            assert not status.is_final, status.row
            return None
        return Identity(
            boot_id=row.runner_boot_id or "",
            pid_namespace=row.runner_pid_namespace or "",
            pid=row.runner_pid,
            start_ticks=row.runner_start_ticks,
        )

    identity = wait_until(found, PATIENCE, "a runner")
    assert identity is not None
    return identity


def supervisor_of(status: TaskStatus) -> Identity:
    """Return the process that watches, or watched, over an attempt."""
    row = status.refresh().row
    assert row.supervisor_id is not None
    found = status._runtime.store.supervisor(row.supervisor_id)
    assert found is not None
    return identity_of(found)


def wait_for(status: TaskStatus, fits: Callable[[TaskStatus], object], what: str = "") -> TaskStatus:
    """Return the status once its row fits; fail at once if it has ended otherwise."""

    def looked() -> bool:
        if fits(status.refresh()):
            return True
        assert not status.is_final, f"ended while waiting for {what or fits}: {status.row}\n{status.attempts()}"
        return False

    wait_until(looked, PATIENCE, what or f"{status!r} to fit")
    return status


def wait_message(status: TaskStatus, message: str) -> TaskStatus:
    """Return the status once the task has said `message`."""
    return wait_for(status, lambda one: one.message == message, f"the message {message!r}")


def ended(status: TaskStatus) -> TaskStatus:
    """Return the status once it is final."""
    status.wait(PATIENCE)
    assert status.is_final, f"not final: {status.row}"
    return status


def gone(identity: Identity) -> None:
    """Return once that process runs no more."""
    wait_until(lambda: not process.is_alive(identity), PATIENCE, f"the end of pid {identity.pid}")
