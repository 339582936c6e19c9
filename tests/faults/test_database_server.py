"""The database's server crashes or stands still, the disk is full: what happened is written when it is back."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from forktask.errors import StoreError
from forktask.runtime import Runtime
from forktask.states import State
from tests import zoo
from tests.databases import order
from tests.faults import harm
from tests.faults.complaints import wait_for_complaints
from tests.faults.server import USER, OwnServer, filled, own_server, small_disk
from tests.faults.truth import DONE, nothing_else_touched, tells
from tests.runtimes import (
    MakeRuntime,
    ended,
    gone,
    runner_of,
    runtimes,
    the_supervisor,
    wait_message,
)

SIZE = 500_000


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """Give a server of this module's own."""
    with own_server() as server:
        yield server


@pytest.fixture
def make(server: OwnServer, tmp_path: Path) -> Iterator[MakeRuntime]:
    """Give what makes runtimes on a database of that server."""
    with server.database() as url, runtimes(url, tmp_path) as make:
        yield make


@contextmanager
def crashed(server: OwnServer) -> Iterator[None]:
    """Have no server for a while; it recovers from its log afterwards."""
    server.crash()
    yield
    server.start()


def ends_while(away: AbstractContextManager[None], runtime: Runtime, tmp_path: Path) -> None:
    """Have a task end, with much to write, while the database is away, and see that it is all there afterwards."""
    go = tmp_path / "go"
    with nothing_else_touched(runtime, tmp_path):
        status = harm.print_much.initiate({"path": str(go), "size": SIZE})
        wait_message(status, "waiting")
        runner = runner_of(status)
        with away:
            go.touch()
            gone(runner)
            wait_for_complaints(runtime, 2)
        tells(status, DONE)
    assert len(status.attempts()) == 1
    assert sum(len(row.text) for row in status.log()) == SIZE


def test_an_end_is_written_when_the_server_has_been_restarted(
    server: OwnServer, make: MakeRuntime, tmp_path: Path
) -> None:
    ends_while(crashed(server), make(), tmp_path)


def test_an_end_is_written_when_a_server_that_stood_still_goes_on(
    server: OwnServer, make: MakeRuntime, tmp_path: Path
) -> None:
    ends_while(server.standing_still(), make(), tmp_path)


def test_an_order_that_no_server_takes_is_an_error_and_no_row(server: OwnServer, make: MakeRuntime) -> None:
    runtime = make()
    first = ended(zoo.nothing.initiate())
    with crashed(server):
        with pytest.raises(StoreError):
            zoo.nothing.initiate()
        with pytest.raises(StoreError):
            first.refresh()
    assert ended(zoo.nothing.initiate()).state is State.COMPLETED
    assert len(runtime.store.find()) == 2


def test_an_end_is_written_when_the_full_disk_of_an_sqlite_file_has_room_again(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk, runtimes(f"sqlite:///{disk}/forktask.sqlite", tmp_path) as make:
        ends_while(filled(disk), make(), tmp_path)


@contextmanager
def files_stay_small(runtime: Runtime) -> Iterator[None]:
    """Have the kernel refuse the supervisor any byte of a file beyond 64 KiB; that needs no root."""
    pid = the_supervisor(runtime.store).pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def test_an_end_is_written_when_files_may_grow_again(make_runtime: MakeRuntime, tmp_path: Path) -> None:
    runtime = make_runtime()
    ends_while(files_stay_small(runtime), runtime, tmp_path)


def test_an_end_is_written_when_the_full_disk_of_a_server_has_room_again(server: OwnServer, tmp_path: Path) -> None:
    with small_disk(server.folder / "disk", 32, USER) as disk:
        order(server.url, f"CREATE TABLESPACE small LOCATION '{disk}'")
        with server.database("small") as url, runtimes(url, tmp_path) as make:
            ends_while(filled(disk), make(), tmp_path)
        order(server.url, "DROP TABLESPACE small")
