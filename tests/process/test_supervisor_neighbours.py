"""Several applications and versions share one table: who starts which row."""

from __future__ import annotations

import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from forktask import clock, process, registry
from forktask.call import Call, row_of
from forktask.proof import LAUNCH_GRACE, identity_of
from forktask.rows import StatusRow, SupervisorRow
from forktask.runtime import Runtime
from forktask.states import State
from forktask.status import TaskStatus
from tests import zoo
from tests.databases import order
from tests.runtimes import PATIENCE, MakeRuntime, ended, wait_message
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


def application(folder: Path, name: str) -> str:
    """Write a program that has the tasks of the zoo and one, of the same name everywhere, that says whose it is."""
    file = folder / f"{name}.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nimport forktask, tests.zoo\n\n"
        f"@forktask.task(name='whose')\ndef whose(status):\n    return {name!r}\n"
    )
    return f"file:{file}:"


def whose(runtime: Runtime, **values: Any) -> StatusRow:
    """Write the row of a task that only supervisors know, for the one that this runtime tells."""
    row = row_of(a_call("nothing"), destination=runtime.doorbell.destination)._replace(task="whose", **values)
    runtime.store.insert(row)
    return row


def a_call(task: str, **settings: Any) -> Call:
    return Call(definition=registry.get(f"tests.zoo.{task}"), settings=settings)


def of(runtime: Runtime) -> SupervisorRow:
    """Return the living supervisor that a runtime tells."""
    name = runtime.doorbell.destination.name
    found = [row for row in runtime.store.supervisors() if row.name == name and process.is_alive(identity_of(row))]
    assert len(found) == 1, found
    return found[0]


def until_it_looked(runtime: Runtime) -> None:
    """Wait for two more heartbeats of its supervisor, which looks at the table with each."""
    before = of(runtime).heartbeat_at
    twice = timedelta(seconds=1.5 * runtime.settings.heartbeat_interval)
    wait_until(lambda: of(runtime).heartbeat_at - before > twice, PATIENCE, "two looks")


def test_a_row_waits_for_a_place_of_its_own_application(
    make_runtime_both: MakeRuntime, go: Path, tmp_path: Path
) -> None:
    shop = make_runtime_both(app=application(tmp_path, "shop"), max_running=1, heartbeat_interval=1.2)
    wait_message(zoo.wait.initiate({"path": str(go)}), "waiting")
    row = whose(shop, created_at=clock.after(-LAUNCH_GRACE - 5))
    blog = make_runtime_both(app=application(tmp_path, "blog"), max_running=9, heartbeat_interval=1.2)
    ended(zoo.nothing.initiate())
    until_it_looked(blog)
    assert TaskStatus.get(row.id).state is State.QUEUED
    go.touch()
    assert ended(TaskStatus.get(row.id)).result == "shop"


def test_a_retry_by_order_of_another_application_runs_in_its_own(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    shop = make_runtime(app=application(tmp_path, "shop"))
    ended(zoo.nothing.initiate())
    row = whose(shop)
    assert ended(TaskStatus.get(row.id)).result == "shop"
    order(shop.settings.database_url, "UPDATE forktask_status SET state = 'failed' WHERE task = 'whose'")
    blog = make_runtime(app=application(tmp_path, "blog"))
    ended(zoo.nothing.initiate())
    blog.retry(row.id)
    assert (ended(TaskStatus.get(row.id)).result, TaskStatus.get(row.id).attempt) == ("shop", 2)


def test_a_row_is_left_to_a_supervisor_that_still_imports(make_runtime: MakeRuntime, go: Path, tmp_path: Path) -> None:
    blog = make_runtime(app=application(tmp_path, "blog"), heartbeat_interval=1.2)
    ended(zoo.nothing.initiate())
    reference = application(tmp_path, "shop")
    Path(tmp_path, "shop.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)\n"
        + Path(tmp_path, "shop.py").read_text()
    )
    shop = make_runtime(app=reference)
    shop.doorbell.ring(["hello"])
    row = whose(shop, created_at=clock.after(-LAUNCH_GRACE - 5))
    until_it_looked(blog)
    assert blog.get(row.id).state is State.QUEUED
    go.touch()
    assert ended(TaskStatus.get(row.id)).result == "shop"


def test_a_row_whose_application_is_gone_is_started_by_another_after_a_grace(
    make_runtime: MakeRuntime, tmp_path: Path
) -> None:
    shop = make_runtime(app=application(tmp_path, "shop"))
    ended(zoo.nothing.initiate())
    process.send_signal(identity_of(of(shop)), signal.SIGKILL)
    old = whose(shop, created_at=clock.after(-LAUNCH_GRACE - 5))
    young = whose(shop)
    blog = make_runtime(app=application(tmp_path, "blog"), heartbeat_interval=1.2)
    ended(zoo.nothing.initiate())
    assert ended(TaskStatus.get(old.id)).result == "blog"
    until_it_looked(blog)
    assert TaskStatus.get(young.id).state is State.QUEUED


def test_a_row_that_waits_under_the_old_version_is_started_by_the_new_one(
    make_runtime_both: MakeRuntime, go: Path, tmp_path: Path
) -> None:
    old = make_runtime_both(app=application(tmp_path, "shop"), max_running=1)
    first = zoo.wait.initiate({"path": str(go)})
    wait_message(first, "waiting")
    row = whose(old)
    application(tmp_path, "shop")
    Path(tmp_path, "shop.py").write_text(Path(tmp_path, "shop.py").read_text().replace("return 'shop'", "return 'new'"))
    new = make_runtime_both(app=f"file:{tmp_path / 'shop.py'}:", max_running=2, version="next")
    ended(zoo.nothing.initiate())

    def is_done() -> bool:
        found = new.store.get(row.id)  # nobody looks through the runtime, which would ring for a row that waits
        return found is not None and found.state is State.COMPLETED

    wait_until(is_done, PATIENCE, "its end under the new version")
    assert TaskStatus.get(row.id).result == "new"
    assert first.refresh().state is State.RUNNING
    go.touch()
    assert ended(first).state is State.COMPLETED


def test_two_supervisors_never_take_the_same_place(make_runtime_both: MakeRuntime, go: Path, tmp_path: Path) -> None:
    shops = [make_runtime_both(app=application(tmp_path, name), max_running=2) for name in ("shop", "blog")]
    for runtime in shops:
        runtime.wait(runtime.initiate(a_call("nothing")).id, PATIENCE)
    store = shops[0].store
    rows = [runtime.initiate(a_call("wait", path=str(go))) for _ in range(5) for runtime in shops]
    for runtime in shops:
        until_it_looked(runtime)
    assert len(store.find(state=[State.RUNNING])) == 2
    go.touch()
    wait_until(lambda: len(store.find(state=[State.COMPLETED])) == len(rows) + 2, PATIENCE, "all ends")


def test_a_row_that_waits_keeps_the_start_method_of_its_call(make_runtime: MakeRuntime, go: Path) -> None:
    make_runtime(max_running=1)
    wait_message(zoo.wait.initiate({"path": str(go)}), "waiting")
    status = zoo.command_line.using(start_method="spawn").initiate()
    assert status.state is State.QUEUED
    go.touch()
    assert str(status.id) in ended(status).result, "it was forked"


def test_the_socket_of_a_killed_supervisor_is_taken_away_by_another(make_runtime: MakeRuntime, go: Path) -> None:
    old = make_runtime(version="1", idle_exit=60)
    ended(zoo.nothing.initiate())
    name = old.doorbell.destination.name
    process.send_signal(identity_of(of(old)), signal.SIGKILL)
    make_runtime(version="2", idle_exit=60)
    wait_message(zoo.wait.initiate({"path": str(go)}), "waiting")
    folder = Path(old.settings.runtime_dir)
    wait_until(lambda: not (folder / name).exists(), PATIENCE, "a socket less")
    assert (folder / f"{name}.lock").exists()
    assert (folder / f"{name}.log").exists()
    go.touch()
