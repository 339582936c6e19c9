"""The kernel gives no more processes: a real limit, of a control group or of the user."""

from __future__ import annotations

import contextlib
import os
import resource
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from forktask.birth import SPARE
from forktask.runtime import Runtime
from forktask.states import Cause, State
from tests import zoo
from tests.runtimes import PATIENCE, MakeRuntime, ended, nursery_of, runners_of, the_supervisor, wait_message
from tests.waiting import wait_until

ROOTS = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


class Group:
    """A control group; the limit counts the processes in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, *pids: int) -> None:
        for pid in pids:
            (self.path / "cgroup.procs").write_text(str(pid))

    def limit(self, count: int | str) -> None:
        (self.path / "pids.max").write_text(str(count))


class UserLimit:
    """The limit of processes of the user, in some processes of theirs; root has none."""

    def __init__(self) -> None:
        self.pids: tuple[int, ...] = ()

    def put(self, *pids: int) -> None:
        self.pids = pids

    def limit(self, count: int | str) -> None:
        for pid in self.pids:
            _, most = resource.prlimit(pid, resource.RLIMIT_NPROC)
            resource.prlimit(pid, resource.RLIMIT_NPROC, (most if isinstance(count, str) else count, most))


@pytest.fixture
def group() -> Iterator[Group | UserLimit]:
    """Give an empty control group, where this machine lets us make one; else what stands for it."""
    path = next((root for root in ROOTS if _can_limit(root)), None)
    if path is None and os.geteuid() != 0:
        yield UserLimit()
        return
    if path is None:
        pytest.skip("no control group of processes can be made here (it needs root, or delegation)")
    made = path / f"forktask-test-{uuid.uuid4().hex[:8]}"
    made.mkdir()
    yield Group(made)

    def removed() -> bool:
        for pid in (made / "cgroup.procs").read_text().split():
            (path / "cgroup.procs").write_text(pid)
        with contextlib.suppress(OSError):  # busy, as long as one that has ended is in it
            made.rmdir()
        return not made.exists()

    wait_until(removed, PATIENCE, "an empty group")


def _can_limit(root: Path) -> bool:
    trial = root / f"forktask-trial-{os.getpid()}"
    try:
        trial.mkdir()
        try:
            (trial / "pids.max").write_text("max")
        finally:
            trial.rmdir()
    except OSError:
        return False
    return True


def who_forks(runtime: Runtime) -> tuple[int, int]:
    """Return the supervisor, and the nursery that forks for it."""
    supervisor = the_supervisor(runtime.store)
    nursery = wait_until(lambda: nursery_of(supervisor), PATIENCE, "a nursery")
    assert nursery is not None
    return supervisor.pid, nursery.pid


def log_of(runtime: Runtime) -> str:
    return "".join(path.read_text() for path in Path(runtime.settings.runtime_dir).glob("*.log"))


@pytest.mark.parametrize("task", [zoo.echo, zoo.SpawnedTask], ids=["forked", "spawned"])
def test_a_refused_fork_waits_while_others_run_and_fails_when_none_do(
    make_runtime_both: MakeRuntime, group: Group | UserLimit, tmp_path: Path, task: type[zoo.SpawnedTask]
) -> None:
    runtime = make_runtime_both(spare_runners=0)
    go = tmp_path / "go"
    running = zoo.wait.initiate({"path": str(go)})
    wait_message(running, "waiting")
    group.put(*who_forks(runtime))
    group.limit(1)
    status = task.initiate({})
    wait_until(lambda: "cannot start a process" in log_of(runtime), PATIENCE, "the refusal")
    assert status.refresh().state is State.QUEUED
    group.limit("max")
    assert ended(status).state is State.COMPLETED
    group.limit(1)
    go.touch()
    assert ended(running).state is State.COMPLETED
    status = ended(task.initiate({}))
    assert (status.state, status.cause, status.error) == (State.FAILED, Cause.LAUNCH, "This could not be started.")
    (attempt,) = status.attempts()
    assert attempt.traceback and "Resource temporarily unavailable" in attempt.traceback
    group.limit("max")
    assert ended(task.initiate({})).state is State.COMPLETED


def test_a_refused_spare_does_no_harm(own_runtime: Runtime, group: Group | UserLimit) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime.store)
    names = [SPARE.decode()]
    wait_until(lambda: [one.name() for one in runners_of(supervisor)] == names, PATIENCE, "a spare and nothing else")
    group.put(*who_forks(own_runtime))
    group.limit(1)
    assert ended(zoo.echo.initiate({"by": "the spare"})).state is State.COMPLETED
    wait_until(lambda: "cannot fork a spare" in log_of(own_runtime), PATIENCE, "the refusal")
    group.limit("max")
    assert ended(zoo.echo.initiate({})).state is State.COMPLETED
