"""What is written is read back the same, on all three databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel

from forktask.rows import AttemptRow, LogRow, StatusRow, SupervisorRow, new_id
from forktask.states import Cause, StartMethod, State
from forktask.store import Store, StoreRefusedError
from forktask.tables import ATTEMPT, LOG, STATUS, SUPERVISOR
from tests.store.examples import a_row, an_end, inserted, read, running


def test_a_row_comes_back_as_it_was_written(store: Store) -> None:
    later = datetime(2031, 2, 3, 4, 5, 6, 789012, UTC)
    row = a_row(
        state=State.PAUSED,
        percent=12.345678901234,
        message="größer als 𝄞 and 😀",
        done=2**40,
        total=0,
        unit="rows",
        settings={"nested": [1, 2.5, None, True, {"ключ": "😀"}], "empty": {}},
        result=[],
        error='It\'s "broken" %s :name ?',
        cause=Cause.OUT_OF_MEMORY,
        reference="K7Q2",
        warnings=["one", "two"],
        metadata={"a": 1},
        checkpoint={"line": 3},
        owner="Bob",
        public=1,
        parent_id=new_id(),
        start_method=StartMethod.SPAWN,
        queue="mail",
        run_after=later,
        unique_key="k",
        once_key="0f" * 32,
        visitor="0f" * 16,
        cancel_requested_at=later,
        pause_requested_at=later,
        supervisor_id=new_id(),
        runner_boot_id="b",
        runner_pid_namespace="1",
        runner_pid=1,
        runner_start_ticks=2**40,
        started_at=later,
        finished_at=later,
    )
    store.insert(row)
    assert store.get(row.id) == row


def test_a_row_of_nulls_comes_back_as_it_was_written(store: Store) -> None:
    row = inserted(store)
    assert store.get(row.id) == row


def test_an_unknown_id_is_none(store: Store) -> None:
    assert store.get(new_id()) is None


def test_enums_are_stored_by_value_as_short_strings(store: Store) -> None:
    row = inserted(store, cause=Cause.OUT_OF_MEMORY, start_method=StartMethod.FORKSERVER)
    with store.database.engine.connect() as connection:
        stored = connection.execute(text("SELECT state, cause, start_method FROM forktask_status")).one()
    assert tuple(stored) == ("queued", "out_of_memory", "forkserver")
    assert type(read(store, row).state) is State


def test_datetimes_come_back_aware_in_utc(store: Store) -> None:
    there = datetime(2026, 7, 1, 12, 0, 0, 123456, timezone(timedelta(hours=5, minutes=30)))
    row = read(store, inserted(store, run_after=there))
    assert row.run_after == there
    assert row.run_after is not None
    assert row.run_after.utcoffset() == timedelta(0)
    assert row.created_at.utcoffset() == timedelta(0)


def test_a_naive_datetime_is_refused(store: Store) -> None:
    with pytest.raises(StoreRefusedError, match="no time zone"):
        store.insert(a_row(run_after=datetime(2026, 7, 1)))  # noqa: DTZ001 - the point


def test_owners_that_differ_in_case_are_two(store: Store) -> None:
    row = inserted(store, owner="Bob")
    assert store.find(owner="bob") == []
    assert store.find(owner="Bob") == [row]


def test_text_that_a_database_refuses_is_written_without_what_it_refuses(store: Store) -> None:
    row = inserted(store, error="a\0b \udcff c", title="x" * 300, message="y" * 1_000_001)
    found = read(store, row)
    assert found.error == "ab ? c"
    assert found.title == "x" * 254 + "…"
    assert found.message == "y" * 999_999 + "…"


def test_a_row_that_is_there_already_is_refused_for_good(store: Store) -> None:
    row = inserted(store)
    with pytest.raises(StoreRefusedError):
        store.insert(row)


def test_rows_are_found_newest_first(store: Store) -> None:
    ids = [inserted(store, id=new_id(), created_at=a_row().created_at).id for _ in range(3)]
    assert [row.id for row in store.find(limit=2)] == sorted(ids, reverse=True)[:2]


def test_rows_are_found_by_state_task_and_owner(store: Store) -> None:
    mine = inserted(store, task="a", owner="bob")
    inserted(store, task="b", owner="bob")
    inserted(store, task="a", owner="eve")
    inserted(store, task="a", owner="bob", state=State.FAILED)
    assert store.find(state=[State.QUEUED, State.RUNNING], task="a", owner="bob") == [mine]
    assert len(store.find(task="a")) == 3
    assert len(store.find(owner="bob")) == 3
    assert len(store.find(state={State.FAILED, State.QUEUED})) == 4
    assert store.find(state=[State.LOST]) == []


def test_attempts_and_log_are_read_in_order(store: Store) -> None:
    row = running(store)
    pieces = [
        LogRow(row.id, attempt, position, row.created_at, "INFO", "app", f"{attempt}.{position}\n")
        for attempt in (2, 1)
        for position in (1, 0)
    ]
    store.save([], [an_end(row, error_class="ValueError", cpu_seconds=1.25, peak_memory=2**33)], pieces)
    assert [piece.text for piece in store.log(row.id)] == ["1.0\n", "1.1\n", "2.0\n", "2.1\n"]
    assert store.log(row.id, 1) == [pieces[3], pieces[2]]
    (attempt,) = store.attempts(row.id)
    assert attempt.error_class == "ValueError"
    assert (attempt.cpu_seconds, attempt.peak_memory) == (1.25, 2**33)


def test_rows_have_the_fields_of_their_tables() -> None:
    for table, row in ((STATUS, StatusRow), (SUPERVISOR, SupervisorRow), (ATTEMPT, AttemptRow), (LOG, LogRow)):
        assert tuple(column.name for column in table.c) == row._fields


def test_our_tables_are_not_in_the_metadata_of_the_user() -> None:
    assert not [name for name in SQLModel.metadata.tables if name.startswith("forktask")]


def test_what_was_ordered_once_is_found_the_second_time(store: Store) -> None:
    first, second, other = (a_row(once_key=key, owner=owner) for key, owner in (("a", "1"), ("a", "2"), ("b", "3")))
    assert store.insert_or_find(first).row == first
    assert store.insert_or_find(second).row == first
    assert store.insert_or_find(other).row == other
    assert {row.owner for row in store.find()} == {"1", "3"}


def test_rows_of_no_order_are_all_written(store: Store) -> None:
    rows = [a_row(), a_row()]
    assert [store.insert_or_find(row).row for row in rows] == rows
    assert len(store.find()) == 2


def test_of_many_who_order_the_same_at_once_one_writes(store: Store) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(
            threads.map(lambda number: store.insert_or_find(a_row(once_key="a", owner=str(number))).row, range(24))
        )
    assert store.find() == found[:1]
    assert {row.id for row in found} == {found[0].id}
