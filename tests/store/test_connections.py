"""Connections across threads, forks, restarts and silence."""

from __future__ import annotations

import gc
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from forktask.rows import new_id
from forktask.states import State
from forktask.store import Store, StoreRefusedError, StoreUnavailableError
from tests.store.examples import a_claim, a_row, a_sample, an_end, inserted, read, running
from tests.store.forking import forked
from tests.store.proxy import Proxy

SERVERS = ("postgresql", "mariadb")


@pytest.fixture
def server_store(store: Store) -> Store:
    if store.database.is_sqlite:
        pytest.skip("about servers")
    return store


@pytest.fixture
def proxy(server_store: Store) -> Iterator[Proxy]:
    """Give a way to the server that can be made to stand still."""
    url = make_url(server_store.url)
    assert url.host is not None
    assert url.port is not None
    with Proxy(url.host, url.port) as proxy:
        yield proxy


def through(proxy: Proxy, store: Store, *, supervisor: bool) -> Store:
    url = make_url(store.url).set(host="127.0.0.1", port=proxy.port)
    return Store(url.render_as_string(hide_password=False), supervisor=supervisor)


def end_all_sessions(store: Store) -> None:
    """Do to the connections of `store` what a restart of the server does."""
    engine = create_engine(store.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if store.database.kind == "postgresql":
            others = "datname = current_database() AND pid <> pg_backend_pid()"
            connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))
        else:
            others = "db = DATABASE() AND id <> CONNECTION_ID()"
            ids = connection.execute(text(f"SELECT id FROM information_schema.processlist WHERE {others}")).scalars()
            for number in list(ids):
                connection.exec_driver_sql(f"KILL {number}")
    engine.dispose()


def test_fifty_threads_write_without_an_error(store: Store) -> None:
    ready = threading.Barrier(50)

    def work(_: int) -> int:
        ready.wait()
        for _ in range(5):
            row = running(store)
            store.save([a_sample(row, percent=1.0)], [], [])
            store.save([], [an_end(row)], [])
            # Reads before it writes: where a deferred transaction fails at once.
            assert store.mark_lost(running(store).id, 1, "gone", error="e", reference="r")
        return 1

    with ThreadPoolExecutor(50) as threads:
        assert sum(threads.map(work, range(50))) == 50
    assert len(store.find(state=[State.COMPLETED], limit=1000)) == 250


def test_eight_processes_write_without_an_error(store: Store, url: str) -> None:
    store.close()

    def work() -> str:
        mine = Store(url)
        for _ in range(20):
            row = running(mine)
            mine.save([a_sample(row, percent=1.0)], [an_end(row)], [])
        return "written"

    assert forked([work] * 8) == ["written"] * 8
    assert len(store.find(state=[State.COMPLETED], limit=1000)) == 160


@pytest.mark.parametrize("supervisor", [False, True])
def test_a_forked_child_leaves_the_connection_of_its_parent_alone(url: str, store: Store, supervisor: bool) -> None:
    parent = Store(url, supervisor=supervisor)
    row = inserted(parent)
    if store.database.is_sqlite:
        parent.close()  # SQLite must not be open in a fork

    def child() -> str:
        gc.collect()
        for _ in range(20):
            assert inserted(parent) in parent.find()
        parent.close()
        gc.collect()
        return str(parent.get(row.id) == row)

    assert forked([child] * 2) == ["True"] * 2
    assert [parent.get(row.id) for _ in range(20)] == [row] * 20
    assert len(parent.find()) == 41
    parent.close()


def test_descriptors_of_connections_to_a_server_are_told(url: str, store: Store) -> None:
    mine = Store(url, supervisor=True)
    assert mine.socket_descriptors() == []
    inserted(mine)
    descriptors = mine.socket_descriptors()
    assert len(descriptors) == (0 if store.database.is_sqlite else 1)
    for descriptor in descriptors:
        assert Path(f"/proc/self/fd/{descriptor}").readlink().name.startswith("socket")
    mine.close()
    assert mine.socket_descriptors() == []
    assert not mine.database._open


def test_a_supervisor_has_no_sqlite_file_open_once_it_closed_them_for_a_fork(tmp_path: Path) -> None:
    def opened() -> list[str]:
        names = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return [name for name in names if str(tmp_path) in name]

    store = Store(f"sqlite:///{tmp_path}/forktask.sqlite", supervisor=True)
    row = running(store)
    assert len(opened()) == 3
    store.close_files()
    assert opened() == []
    assert store.save([a_sample(row)], [], []) == set()
    store.close()


def test_a_supervisor_opens_the_file_that_stands_where_its_own_was(tmp_path: Path) -> None:
    path, url = tmp_path / "forktask.sqlite", f"sqlite:///{tmp_path}/forktask.sqlite"
    mine = Store(url, supervisor=True)
    inserted(mine)
    for left in tmp_path.iterdir():
        left.unlink()
    other = Store(url)
    row = inserted(other)
    assert mine.get(row.id) == row
    assert path.exists()
    mine.close()
    other.close()


def test_warming_up_changes_nothing(supervisor_store: Store) -> None:
    row = inserted(supervisor_store)
    supervisor_store.warm_up()
    assert supervisor_store.find() == [row]


@pytest.mark.parametrize("supervisor", [False, True])
def test_a_connection_that_went_stale_is_replaced(server_store: Store, supervisor: bool) -> None:
    store = Store(server_store.url, supervisor=supervisor)
    row = inserted(store)
    end_all_sessions(store)
    assert store.get(row.id) == row
    end_all_sessions(store)
    assert len(store.claim([a_claim(row.id), a_claim(new_id())])) == 1
    end_all_sessions(store)
    other = inserted(store)
    assert read(store, other) == other
    store.close()


def test_many_stale_connections_are_replaced(server_store: Store) -> None:
    row = inserted(server_store)
    ready = threading.Barrier(4)

    def look(_: int) -> bool:
        ready.wait()
        return server_store.get(row.id) == row

    for _ in range(3):
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(look, range(4))) == [True] * 4
        end_all_sessions(server_store)


@pytest.mark.parametrize("supervisor", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://postgres@127.0.0.1:1/none",
        "mariadb+pymysql://root@127.0.0.1:1/none",
        "sqlite:////proc/none/forktask.sqlite",
    ],
)
def test_a_database_that_is_away_may_come_back(url: str, supervisor: bool) -> None:
    store = Store(url, supervisor=supervisor)
    with pytest.raises(StoreUnavailableError):
        store.insert(a_row())
    with pytest.raises(StoreUnavailableError):
        store.create_tables()


def test_a_server_that_stands_still_holds_up_no_supervisor(server_store: Store, proxy: Proxy) -> None:
    store = through(proxy, server_store, supervisor=True)
    row = running(store)
    proxy.hold()
    with pytest.raises(StoreUnavailableError):
        store.save([a_sample(row, percent=1.0)], [], [])
    proxy.let_go()
    store.save([a_sample(row, percent=2.0)], [], [])
    assert read(server_store, row).percent == 2.0
    store.close()


def test_a_row_that_is_locked_for_long_may_be_free_later(server_store: Store, supervisor_store: Store) -> None:
    row = running(server_store)
    engine = create_engine(server_store.url)
    with engine.connect() as other:
        other.execute(text("UPDATE forktask_status SET title = 'held'"))
        with pytest.raises(StoreUnavailableError):
            supervisor_store.save([a_sample(row, percent=1.0)], [], [])
    engine.dispose()
    assert supervisor_store.save([a_sample(row, percent=1.0)], [], []) == set()


def test_a_locked_sqlite_file_may_be_free_later(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/forktask.sqlite", supervisor=True)
    row = running(store)
    other = sqlite3.connect(tmp_path / "forktask.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        store.save([a_sample(row, percent=1.0)], [], [])
    assert read(store, row).percent is None
    other.execute("ROLLBACK")
    other.close()
    assert store.save([a_sample(row, percent=1.0)], [], []) == set()


def test_a_transaction_that_fails_writes_nothing(store: Store) -> None:
    row, other = running(store), running(store)
    with pytest.raises(StoreRefusedError):
        store.save([a_sample(row, percent=9.0)], [an_end(other, result={1, 2})], [])
    assert read(store, row).percent is None
    assert store.save([a_sample(row, percent=9.0)], [an_end(other)], []) == set()


def test_what_no_waiting_mends_is_no_absence(tmp_path: Path, store: Store) -> None:
    with pytest.raises(StoreRefusedError):
        store.insert(a_row(task=None))
    with pytest.raises(StoreRefusedError):
        store.insert(a_row(done=2**70))
    (tmp_path / "text").write_text("This is a text and no database. " * 100)
    with pytest.raises(StoreRefusedError):
        Store(f"sqlite:///{tmp_path}/text").find()


def compiled(store: Store) -> set[Any]:
    cache: Any = store.database._compiled
    return {(build.__name__, arguments) for build, arguments in cache}


def test_all_is_compiled_before_a_fork(supervisor_store: Store) -> None:
    supervisor_store.prepare()
    before = compiled(supervisor_store)
    row, other = running(supervisor_store), running(supervisor_store)
    supervisor_store.get(row.id)
    supervisor_store.requests([row.id, other.id])
    supervisor_store.save([a_sample(row), a_sample(other)], [an_end(row, last=a_sample(row))], [])
    assert {name for name, _ in compiled(supervisor_store) - before} == {"insert_status"}
