"""The database is locked, cut off or gone while tasks run and end: nothing is lost, the supervisor lives."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from forktask import process, registry
from forktask.call import Call, row_of
from forktask.identity import Identity
from forktask.rows import StatusRow
from forktask.runtime import Runtime
from forktask.states import Cause, State
from forktask.store import Store
from tests import zoo
from tests.databases import database_url
from tests.faults.complaints import complaints, wait_for_complaints
from tests.faults.switch import Switch
from tests.faults.truth import DONE, nothing_else_touched, tells
from tests.runtimes import (
    PATIENCE,
    MakeRuntime,
    ended,
    gone,
    runner_of,
    runtimes,
    the_supervisor,
    wait_for,
    wait_message,
)
from tests.waiting import wait_until


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file a task of the zoo waits for."""
    return tmp_path / "go"


TABLES = "forktask_status, forktask_supervisor, forktask_attempt, forktask_log"


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Keep everybody else from writing to the tables."""
    if make_url(url).get_backend_name() == "sqlite":
        with contextlib.closing(sqlite3.connect(make_url(url).database or "", isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield
            connection.execute("ROLLBACK")
        return
    engine = create_engine(url)
    with engine.begin() as transaction:
        transaction.exec_driver_sql(f"LOCK TABLE {TABLES} IN EXCLUSIVE MODE")
        yield
    engine.dispose()


def is_stopped(identity: Identity) -> bool:
    found = process.read_stat(identity.pid)
    return found is not None and found.state == "T"


class Line:
    """A database server, the supervisor's way to it that can be cut, and our own that cannot."""

    def __init__(self, runtime: Runtime, store: Store, switch: Switch) -> None:
        self.runtime = runtime
        self.store = store
        self.switch = switch

    def row(self, given: StatusRow) -> StatusRow:
        found = self.store.get(given.id)
        assert found is not None
        return found

    def end(self, given: StatusRow) -> StatusRow:
        wait_until(lambda: self.row(given).state.is_final, PATIENCE, "the end")
        return self.row(given)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    """Give a PostgreSQL database behind a switch."""
    with line_to("postgresql", tmp_path) as line:
        yield line


@pytest.fixture(params=["postgresql", "mariadb"])
def line_each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Line]:
    """Give a database behind a switch, on each kind of server in turn."""
    with line_to(request.param, tmp_path) as line:
        yield line


@contextlib.contextmanager
def line_to(kind: str, tmp_path: Path) -> Iterator[Line]:
    with database_url(kind, tmp_path) as url:
        parsed = make_url(url)
        with Switch(parsed.host or "", parsed.port or 0) as switch:
            through = parsed.set(host="127.0.0.1", port=switch.port).render_as_string(hide_password=False)
            store = Store(url)
            with runtimes(through, tmp_path) as make:
                yield Line(make(), store, switch)
            store.close()


def test_an_end_is_written_when_the_locked_database_is_free_again(
    make_runtime_both: MakeRuntime, go: Path, tmp_path: Path
) -> None:
    runtime = make_runtime_both()
    with nothing_else_touched(runtime, tmp_path):
        status = zoo.speak.initiate({"path": str(go)})
        wait_for(status, lambda one: one.state is State.RUNNING)
        runner = runner_of(status)
        with locked(runtime.settings.database_url):
            go.touch()
            gone(runner)
            wait_for_complaints(runtime, 2)
            assert status.refresh().state is State.RUNNING
        tells(status, DONE)
    assert "seven" in "".join(row.text for row in status.log())
    assert len(status.attempts()) == 1


def test_a_task_does_not_wait_for_a_locked_database_to_report(make_runtime_both: MakeRuntime, go: Path) -> None:
    runtime = make_runtime_both()
    status = zoo.tick.initiate({"path": str(go)})
    wait_message(status, "ticking")
    ticks = Path(f"{go}.ticks")
    with locked(runtime.settings.database_url):
        before = int(ticks.read_text() or 0)
        wait_for_complaints(runtime, 1)
        wait_until(lambda: int(ticks.read_text() or 0) > before + 20, what="the task to go on")
    go.touch()
    assert ended(status).state is State.COMPLETED


@pytest.mark.parametrize("name", ["echo", "SpawnedTask"])
def test_a_row_waits_while_the_database_is_locked_whatever_its_start_method(own_runtime: Runtime, name: str) -> None:
    ended(zoo.nothing.initiate())
    with locked_after_insert(own_runtime, name) as row:
        wait_for_complaints(own_runtime, 2)
    wait_until(lambda: state_of(own_runtime, row) is State.COMPLETED, PATIENCE, "the end")
    for _ in range(3):  # descriptors of the runners that waited in vain have been used again
        assert ended(zoo.SpawnedTask.initiate({})).state is State.COMPLETED
        assert ended(zoo.nothing.initiate()).state is State.COMPLETED


@contextlib.contextmanager
def locked_after_insert(runtime: Runtime, name: str) -> Iterator[StatusRow]:
    """Start a task whose row is there, but cannot be claimed for a while."""
    row = row_of(Call(definition=registry.get(f"tests.zoo.{name}"), settings={}))
    runtime.store.insert(row)
    with locked(runtime.settings.database_url):
        runtime.doorbell.ring(["start", str(row.id), row.task, {}])
        yield row


def state_of(runtime: Runtime, row: StatusRow) -> State | None:
    found = runtime.store.get(row.id)
    return found.state if found else None


def test_a_supervisor_that_begins_with_a_locked_database_waits_for_it(own_runtime: Runtime) -> None:
    own_runtime.store.create_tables()
    with locked_after_insert(own_runtime, "echo") as row:
        wait_for_complaints(own_runtime, 2)
    wait_until(lambda: state_of(own_runtime, row) is State.COMPLETED, PATIENCE, "the end")


def test_a_pause_is_in_the_row_although_the_database_was_locked_when_it_was_made(
    own_runtime: Runtime, go: Path
) -> None:
    status = zoo.tick.initiate({"path": str(go)})
    wait_message(status, "ticking")
    runner, supervisor = runner_of(status), the_supervisor(own_runtime.store)
    process.send_signal(supervisor, signal.SIGSTOP)
    status.pause()
    with locked(own_runtime.settings.database_url):
        process.send_signal(supervisor, signal.SIGCONT)
        wait_until(lambda: is_stopped(runner), PATIENCE, "a stopped runner")
        wait_for_complaints(own_runtime, 1)
    wait_for(status, lambda one: one.state is State.PAUSED)
    status.resume()
    go.touch()
    assert ended(status).state is State.COMPLETED


def test_what_runs_and_ends_while_the_server_is_unreachable_is_written_when_it_is_back(
    line_each: Line, go: Path
) -> None:
    ends, goes_on = zoo.speak.initiate({"path": str(go)}), zoo.tick.initiate({"path": f"{go}.2"})
    wait_message(goes_on, "ticking")
    runners, supervisor = [runner_of(ends), runner_of(goes_on)], the_supervisor(line_each.store)
    line_each.switch.off()
    go.touch()
    gone(runners[0])
    wait_for_complaints(line_each.runtime, 3)
    assert process.is_alive(runners[1])
    assert line_each.row(ends.row).state is State.RUNNING
    line_each.switch.on()
    assert line_each.end(ends.row).state is State.COMPLETED
    assert "seven" in "".join(row.text for row in line_each.store.log(ends.id))
    assert line_each.row(goes_on.row).state is State.RUNNING
    Path(f"{go}.2").touch()
    assert line_each.end(goes_on.row).state is State.COMPLETED
    assert the_supervisor(line_each.store) == supervisor


def test_a_timeout_is_kept_to_while_the_server_is_unreachable(line: Line) -> None:
    status = zoo.ShortTask.initiate({"path": "/nowhere"})
    runner = runner_of(status)
    line.switch.off()
    gone(runner)
    line.switch.on()
    assert line.end(status.row).cause is Cause.TIMEOUT


def test_a_retry_happens_although_the_server_was_unreachable_when_the_attempt_failed(line: Line, go: Path) -> None:
    status = zoo.InterruptedFlakyTask.initiate({"path": str(go)})
    wait_message(status, "waiting")
    runner = runner_of(status)
    line.switch.off()
    go.touch()
    gone(runner)
    wait_for_complaints(line.runtime, 1)
    line.switch.on()
    row = line.end(status.row)
    assert (row.state, row.attempt) == (State.FAILED, 2)
    assert [one.state for one in line.store.attempts(row.id)] == [State.QUEUED, State.FAILED]


def test_a_supervisor_that_begins_while_the_server_is_unreachable_waits_for_it(line: Line) -> None:
    row = row_of(Call(definition=registry.get("tests.zoo.echo"), settings={"a": 1}))
    line.store.insert(row)
    line.switch.off()
    line.runtime.doorbell.ring(["start", str(row.id), row.task, {}])
    wait_for_complaints(line.runtime, 2)
    line.switch.on()
    assert line.end(row).result == {"a": 1}


def test_a_supervisor_told_to_end_while_the_server_is_unreachable_writes_what_became_of_its_tasks(
    line: Line, go: Path
) -> None:
    status = zoo.clean_up.initiate({"notes": str(go)})
    wait_message(status, "ready")
    runner, supervisor = runner_of(status), the_supervisor(line.store)
    line.switch.off()
    process.send_signal(supervisor, signal.SIGTERM)
    gone(runner)
    wait_for_complaints(line.runtime, 1)
    assert process.is_alive(supervisor)
    line.switch.on()
    gone(supervisor)
    assert (line.row(status.row).state, line.row(status.row).cause) == (State.FAILED, Cause.INTERRUPTED)


@pytest.mark.parametrize("arrives", [True, False], ids=["arrives", "is lost"])
def test_an_end_is_written_once_though_the_line_breaks_at_its_commit(line_each: Line, go: Path, arrives: bool) -> None:
    status = zoo.speak.initiate({"path": str(go)})
    wait_for(status, lambda one: one.state is State.RUNNING)
    wait_until(lambda: "six" in "".join(row.text for row in line_each.store.log(status.id)), PATIENCE, "its output")
    before = complaints(line_each.runtime)  # it complains but once, and may have done so before we look again
    with line_each.switch.broken_at(b"COMMIT", arrives=arrives):
        go.touch()
        wait_for_complaints(line_each.runtime, 1, before)
    assert line_each.end(status.row).state is State.COMPLETED
    (attempt,) = line_each.store.attempts(status.id)
    assert (attempt.state, attempt.exit_code) == (State.COMPLETED, 0)
    assert "".join(row.text for row in line_each.store.log(status.id)).count("seven") == 1


def test_many_tasks_survive_a_flickering_line(line: Line) -> None:
    statuses = [zoo.FlakyTask.initiate({"notes": "/dev/null"}).row for _ in range(20)]
    for _ in range(2):
        line.switch.off()
        wait_for_complaints(line.runtime, 1)
        line.switch.on()
        wait_until(lambda: line.store.find(state=[State.COMPLETED, State.QUEUED]), PATIENCE, "anything")
    for row in statuses:
        assert line.end(row).state is State.COMPLETED
        assert [one.attempt for one in line.store.attempts(row.id)] == [1, 2, 3]
