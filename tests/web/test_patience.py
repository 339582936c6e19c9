"""Requests that wait hold no database connection, not longer than they may, and leave threads for others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import create_engine, make_url, text

from forktask import State, TaskStatus
from forktask.rows import StatusRow
from forktask.store import Store
from forktask.web import ForkTask
from forktask.web.patience import MOST, Seats, wait_for_end
from tests.databases import SERVERS, database_url
from tests.waiting import wait_until
from tests.web.rows import keep


def test_a_wait_is_at_most_the_setting(bare: Flask, waits: list[float]) -> None:
    bare.config["FORKTASK_MAX_WAIT"] = 3
    ForkTask(bare)
    store = Store(bare.extensions["forktask"].settings.database_url)
    with bare.test_request_context():
        status = TaskStatus.get(keep(store, state=State.RUNNING))
        assert [wait_for_end(status, seconds) for seconds in (0, 0.5, 3, 60)] == [0, 0.5, 3, 3]
    assert waits == [0.5, 3, 3]
    store.close()


def test_what_has_ended_is_not_waited_for(app: Flask, store: Store, waits: list[float]) -> None:
    with app.test_request_context():
        wait_for_end(TaskStatus.get(keep(store, state=State.FAILED)), 5)
    assert waits == []


def test_who_finds_no_seat_does_not_wait(app: Flask, store: Store, waits: list[float]) -> None:
    seats = app.extensions["forktask"].seats
    with app.test_request_context(), seats.seat(MOST), seats.seat(MOST):
        status = TaskStatus.get(keep(store, state=State.RUNNING))
        assert wait_for_end(status, 5, most=2) == 0
        assert wait_for_end(status, 5, most=3) == 5
        assert wait_for_end(status, 5, most=3) == 5  # the seat was given back
    assert waits == [5, 5]


def test_seats_are_given_back_whatever_happens() -> None:
    seats = Seats()
    for _ in range(3):
        with suppress(RuntimeError), seats.seat(1) as free:
            assert free
            raise RuntimeError
    with seats.seat(1) as one, seats.seat(1) as other:
        assert (one, other) == (True, False)
    with seats.seat(1) as free:
        assert free


@pytest.fixture
def on_postgresql(bare: Flask, tmp_path: Path) -> Iterator[Flask]:
    """Give an application on a database of its own."""
    with database_url("postgresql", tmp_path) as url:
        bare.config["FORKTASK_DATABASE_URL"] = url
        ForkTask(bare)
        yield bare
        bare.extensions["forktask"].runtime.close()


def test_requests_that_wait_hold_no_connection_to_the_database(on_postgresql: Flask) -> None:
    store = Store(on_postgresql.extensions["forktask"].settings.database_url)
    status_id = keep(store, state=State.RUNNING)
    store.close()
    pool: Any = on_postgresql.extensions["forktask"].runtime.store.database.engine.pool
    begun = Barrier(MOST + 1)

    def wait() -> StatusRow:
        with on_postgresql.test_request_context():
            status = TaskStatus.get(status_id)
            begun.wait(30)
            wait_for_end(status, 30)
        return status.row

    on_postgresql.extensions["forktask"].runtime.close()
    with ThreadPoolExecutor(MOST) as threads:
        waiting = [threads.submit(wait) for _ in range(MOST)]
        begun.wait(30)
        seats = on_postgresql.extensions["forktask"].seats
        wait_until(lambda: seats.taken == MOST, what="all to wait")
        wait_until(lambda: pool.checkedout() == 0 and busy(on_postgresql) == 0, 30, "the connections to be idle")
        order = "UPDATE forktask_status SET state = 'completed'"
        other = Store(on_postgresql.extensions["forktask"].settings.database_url)
        other.database.run(lambda cursor: cursor.execute(order))
        other.close()
        assert [one.result().state for one in waiting] == [State.COMPLETED] * MOST


def busy(app: Flask) -> int:
    """Return how many connections to the application's database do anything, as the server sees it."""
    name = make_url(app.extensions["forktask"].settings.database_url).database
    engine = create_engine(SERVERS["postgresql"])
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = :name AND state <> 'idle'")
    with engine.connect() as connection:
        count = int(connection.execute(query, {"name": name}).scalar_one())
    engine.dispose()
    return count
