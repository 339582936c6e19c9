"""Leases of supervisors, by the clock of the database."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from forktask import clock
from forktask.rows import SupervisorRow, new_id
from forktask.store import Store
from forktask.tables import SUPERVISOR
from tests.store.examples import RUNNER, a_claim, a_supervisor, an_end, inserted, read


def registered(store: Store, **values: object) -> SupervisorRow:
    row = a_supervisor(**values)
    store.register(row)
    return row


def silence(store: Store, row: SupervisorRow, seconds: float) -> None:
    """Put the last heartbeat back."""
    heartbeat = row.heartbeat_at - timedelta(seconds=seconds)
    with store.database.engine.connect() as connection:
        connection.execute(update(SUPERVISOR).where(SUPERVISOR.c.id == row.id).values(heartbeat_at=heartbeat))


def test_a_supervisor_registers_lives_and_leaves(supervisor_store: Store) -> None:
    store = supervisor_store
    row = registered(store)
    found = store.supervisor(row.id)
    assert found is not None
    assert found == row._replace(heartbeat_at=found.heartbeat_at)
    store.register(row)
    assert [one.id for one in store.supervisors()] == [row.id]
    assert store.heartbeat(row.id)
    store.retire(row.id)
    left = store.supervisor(row.id)
    assert left is not None
    assert left.stopped_at is not None
    assert store.supervisors() == []
    assert not store.heartbeat(new_id())
    assert store.supervisor(new_id()) is None


def test_a_heartbeat_is_by_the_clock_of_the_database(store: Store) -> None:
    clock.shift(-3600)
    try:
        row = registered(store)
        assert store.silent(60) == []
        silence(store, row, 0)
        assert store.silent(60) == [row.id]
        assert store.heartbeat(row.id)
        assert store.silent(60) == []
    finally:
        clock.shift(0)


def test_a_silent_supervisor_is_told_after_the_time(store: Store) -> None:
    row, other = registered(store), registered(store)
    silence(store, row, 20)
    assert store.silent(60) == []
    assert store.silent(10) == [row.id]
    silence(store, other, 20)
    assert set(store.silent(10.5)) == {row.id, other.id}


def test_workers_serve_while_their_lease_holds_and_until_they_say_otherwise(store: Store) -> None:
    registered(store)
    first, second, third = (registered(store, kind="worker", queues=["mail"], tasks=["a"]) for _ in range(3))
    assert [row.id for row in store.serving(60)] == [first.id, second.id, third.id]
    silence(store, first, 20)
    store.serve_no_more(second.id)
    (found,) = store.serving(10)
    assert found.id == third.id
    assert (found.serves("mail", "a"), found.serves("mail", None)) == (True, True)
    assert (found.serves("mail", "b"), found.serves("other", "a")) == (False, False)


def test_one_that_left_is_silent_only_while_something_of_it_is_under_way(store: Store) -> None:
    row = registered(store)
    silence(store, row, 20)
    store.retire(row.id)
    assert store.silent(10) == []
    status = inserted(store)
    (claimed,) = store.claim([a_claim(status.id, row.id)])
    assert store.silent(10) == [row.id]
    store.save([], [an_end(claimed)], [])
    assert store.silent(10) == []


def test_the_newest_supervisor_of_an_application_on_this_boot(store: Store) -> None:
    assert store.newest_supervisor("0f3a", RUNNER.boot_id) is None
    old = registered(store, start_ticks=1)
    new = registered(store, start_ticks=2, version="2", started_at=clock.after(-3600))  # the clock was set back
    registered(store, start_ticks=3, application="other")
    registered(store, start_ticks=3, boot_id="other")
    registered(store, start_ticks=3, kind="private")
    newest = store.newest_supervisor("0f3a", RUNNER.boot_id)
    assert newest is not None
    assert (newest.id, newest.version) == (new.id, "2")
    store.retire(new.id)
    newest = store.newest_supervisor("0f3a", RUNNER.boot_id)
    assert newest is not None
    assert newest.id == old.id


def test_under_way_is_what_runs_or_was_stopped_while_it_ran_and_places_are_taken_by_forks_too(store: Store) -> None:
    busy, stopped, done = (inserted(store) for _ in range(3))
    assert len(store.claim([a_claim(row.id, pid=number) for number, row in enumerate((busy, stopped, done), 1)])) == 3
    inserted(store)
    held = inserted(store)
    store.pause_waiting(held.id)
    store.set_paused(stopped.id, 1, True)
    store.save([], [an_end(done)], [])
    assert {row.id for row in store.under_way()} == {busy.id, stopped.id}
    assert store.count_running(RUNNER.boot_id) == 2
    assert store.count_running("another boot") == 0
    inserted(store, bound=1, runner_boot_id=RUNNER.boot_id)
    assert store.count_running(RUNNER.boot_id) == 3
    assert store.claim([a_claim(inserted(store).id, pid=1)])
    assert store.count_running(RUNNER.boot_id) == 3  # a runner that is kept for many takes one place
    assert [store.count_beside(read(store, row)) for row in (busy, stopped, done)] == [1, 0, 0]
