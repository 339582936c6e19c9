"""Tables appear when they are needed, whoever needs them first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect

from forktask.errors import StoreError
from forktask.store import Store, schema
from forktask.store.failures import TablesDifferError
from forktask.tables import STATUS, metadata
from tests.databases import KINDS, database_url, order
from tests.store.examples import a_row, a_scope, inserted, read
from tests.store.forking import forked


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database_url(request.param, tmp_path) as url:
        yield url


OF_A_KIND = {"forktask_status_initiated", "forktask_status_of_no_queue"}
"""Indexes of which each database has one."""


def indexes(store: Store) -> set[str | None]:
    return {index["name"] for index in inspect(store.database.engine).get_indexes("forktask_status")}


def test_eight_processes_create_the_tables_at_once(empty_url: str) -> None:
    def create() -> str:
        store = Store(empty_url)
        store.create_tables()
        row = inserted(store)
        return str(store.get(row.id) == row)

    assert forked([create] * 8) == ["True"] * 8
    store = Store(empty_url)
    assert set(inspect(store.database.engine).get_table_names()) == set(metadata.tables)
    assert indexes(store) - OF_A_KIND == {index.name for index in STATUS.indexes} - OF_A_KIND
    assert len(indexes(store) & OF_A_KIND) == 1
    assert len(store.find()) == 8
    store.close()


def test_eight_processes_insert_at_once_where_there_is_no_table(empty_url: str) -> None:
    def insert() -> str:
        inserted(Store(empty_url))
        return "inserted"

    assert forked([insert] * 8) == ["inserted"] * 8
    store = Store(empty_url)
    assert len(store.find()) == 8
    store.close()


class BrokenError(Exception):
    """Stands for whatever may go wrong."""


def test_who_fails_to_create_the_tables_leaves_the_way_free(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: Connection) -> None:
        raise BrokenError

    monkeypatch.setattr(schema, "PATIENCE", 0.1)
    first, second = Store(empty_url), Store(empty_url)
    with monkeypatch.context() as broken:
        broken.setattr(metadata, "create_all", fail)
        with pytest.raises(BrokenError):
            first.create_tables()
    second.create_tables()
    assert second.find() == first.find() == []
    first.close()
    second.close()


def test_who_waits_too_long_for_another_says_so(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Store(empty_url), Store(empty_url)
    create_all, told = metadata.create_all, []

    def create(connection: Connection) -> None:
        monkeypatch.setattr(schema, "PATIENCE", 0.1)
        try:
            second.create_tables()
        except StoreError as error:
            told.append(str(error))
        create_all(connection)

    monkeypatch.setattr(metadata, "create_all", create)
    first.create_tables()
    assert re.search("another process has been creating the tables for 0.1 s|database is locked", told[0])
    monkeypatch.undo()
    assert second.find() == []
    first.close()
    second.close()


@pytest.mark.parametrize("supervisor", [False, True])
def test_whoever_looks_first_finds_empty_tables(empty_url: str, supervisor: bool) -> None:
    store = Store(empty_url, supervisor=supervisor)
    assert store.find() == []
    assert store.save([], [], []) == set()
    row = inserted(store)
    assert read(store, row) == row
    store.close()


def test_tables_are_created_and_dropped_twice_without_complaint(empty_url: str) -> None:
    store = Store(empty_url)
    for _ in range(2):
        store.create_tables()
        store.create_tables()
        store.ensure_tables()
        inserted(store)
        store.drop_tables()
        store.drop_tables()
    store.ensure_tables()
    assert store.find() == []
    store.close()


def test_an_index_that_is_missing_is_created(empty_url: str) -> None:
    store = Store(empty_url)
    store.create_tables()
    on_table = " ON forktask_status" if empty_url.startswith("mariadb") else ""
    store.close()
    order(empty_url, f"DROP INDEX forktask_status_live{on_table}")
    assert "forktask_status_live" not in indexes(store)
    if on_table:  # where a statement names an index
        order(empty_url, f"DROP INDEX forktask_status_of_no_queue{on_table}")
        with pytest.raises(TablesDifferError, match=r"of_no_queue.*; forktask check says what to do"):
            store.due(a_scope(), 1)
    store.create_tables()
    assert store.due(a_scope(), 1) == []
    assert "forktask_status_live" in indexes(store)
    store.close()


def test_the_folder_of_the_file_is_created(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/instance/deep/forktask.sqlite")
    store.insert(a_row())
    assert (tmp_path / "instance/deep/forktask.sqlite").is_file()
    store.close()


@pytest.mark.parametrize("supervisor", [False, True])
def test_sqlite_runs_in_wal_with_synchronous_normal(tmp_path: Path, supervisor: bool) -> None:
    store = Store(f"sqlite:///{tmp_path}/forktask.sqlite", supervisor=supervisor)
    store.create_tables()
    with store.database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == (50 if supervisor else 5000)
    store.close()
