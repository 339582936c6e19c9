"""Rows whose arguments are in one process alone: given up when that is gone, and not before."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from forktask import process, registry
from forktask.call import Call, row_of
from forktask.proof import LAUNCH_GRACE
from forktask.runtime import Runtime
from forktask.states import Cause, StartMethod, State
from forktask.status import TaskStatus
from tests import zoo
from tests.databases import order
from tests.runtimes import MakeRuntime, ended, gone, the_supervisor

ROOT = Path(__file__).parents[2]


def make_older(runtime: Runtime, status: TaskStatus) -> None:
    """Let a row have waited longer than the grace, without waiting."""
    earlier = {
        "sqlite": f"strftime('%Y-%m-%d %H:%M:%f', created_at, '-{LAUNCH_GRACE + 5} seconds') || '000'",
        "postgresql": f"created_at - INTERVAL '{LAUNCH_GRACE + 5} seconds'",
        "mariadb": f"created_at - INTERVAL {LAUNCH_GRACE + 5:.0f} SECOND",
    }[runtime.store.database.kind]
    before = status.created_at
    order(runtime.settings.database_url, f"UPDATE forktask_status SET created_at = {earlier}")
    assert (before - status.refresh().created_at).total_seconds() > LAUNCH_GRACE


def test_an_order_is_left_to_a_supervisor_that_has_not_read_it_yet(own_runtime_both: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime_both.store)
    assert process.send_signal(supervisor, signal.SIGSTOP)
    status = zoo.PrivateTask.initiate({})
    make_older(own_runtime_both, status)
    assert TaskStatus.get(status.id).state is State.QUEUED
    assert process.send_signal(supervisor, signal.SIGCONT)
    assert ended(status).result == "s3cret"


def test_an_order_is_left_to_a_supervisor_that_still_imports(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    go, module = tmp_path / "go", tmp_path / "slow.py"
    module.write_text(
        f"import os, sys, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n"
        f"sys.path.insert(0, {str(ROOT)!r})\nimport tests.zoo\n"
    )
    runtime = make_runtime(app=f"file:{module}:")
    status = zoo.PrivateTask.initiate({})
    make_older(runtime, status)
    assert TaskStatus.get(status.id).state is State.QUEUED
    go.touch()
    assert ended(status).result == "s3cret"


def test_an_order_that_died_with_its_supervisor_is_given_up(own_runtime_both: Runtime) -> None:
    ended(zoo.nothing.initiate())
    supervisor = the_supervisor(own_runtime_both.store)
    assert process.send_signal(supervisor, signal.SIGSTOP)
    status = zoo.PrivateTask.initiate({})
    make_older(own_runtime_both, status)
    assert process.send_signal(supervisor, signal.SIGKILL)
    gone(supervisor)
    assert TaskStatus.get(status.id).cause is Cause.LAUNCH
    detail = status.attempts()[0].traceback or ""
    assert "its arguments were in that process alone" in detail


def test_a_supervisor_gives_up_an_order_of_its_own_that_never_came(own_runtime: Runtime) -> None:
    ended(zoo.nothing.initiate())
    call = Call(definition=registry.get("tests.zoo.PrivateTask"), settings={})
    row = row_of(call, bound_to=StartMethod.FORKSERVER, destination=own_runtime.doorbell.destination)
    own_runtime.store.insert(row)
    make_older(own_runtime, TaskStatus.get(row.id))
    assert ended(TaskStatus.get(row.id)).cause is Cause.LAUNCH


@pytest.mark.parametrize("name", ["../run/other", "none"])
def test_a_supervisor_that_never_was_holds_no_lock(own_runtime: Runtime, tmp_path: Path, name: str) -> None:
    from forktask import host

    ended(zoo.nothing.initiate())
    assert host.is_locked(str(tmp_path / "run"), own_runtime.doorbell.destination.name)
    assert not host.is_locked(str(tmp_path / "run"), name)
