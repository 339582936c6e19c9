"""Owners take turns in a line, whatever the number of rows that each has there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from forktask import clock
from forktask.line import lane_of
from forktask.rows import StatusRow, new_id
from forktask.states import State
from forktask.store import Store
from tests.store.examples import a_claim, a_row, an_end, inserted, read, running

TASK = a_row().task


def order(store: Store, owner: str | None, count: int = 1, **values: Any) -> list[StatusRow]:
    """Return rows of an owner, each ordered by itself."""
    given = {"queue": "default", "owner": owner, "lane": lane_of(owner), **values}
    return [inserted(store, **given) for _ in range(count)]


def owners(store: Store, limit: int = 50) -> str:
    """Return whose rows come next, a letter each."""
    found = [store.get(due.id) for due in store.due_in("default", [TASK], limit)]
    return "".join((row.owner or "-") for row in found if row is not None)


def begin(store: Store, count: int) -> list[StatusRow]:
    """Claim the next rows one by one."""
    return [read(store, store.claim([a_claim(store.due_in("default", [TASK], 1)[0].id)])[0]) for _ in range(count)]


def test_owners_take_turns(store: Store) -> None:
    order(store, "a", 5)
    order(store, "b", 2)
    order(store, "c", 1)
    assert owners(store) == "aabcabaa"


def test_one_who_comes_late_does_not_wait_for_all_that_another_has_there(store: Store) -> None:
    order(store, "a", 50)
    begin(store, 20)
    order(store, "b")
    assert owners(store, 3) == "aab"


def test_rows_of_nobody_take_turns_with_the_others(store: Store) -> None:
    order(store, None, 4)
    order(store, "a", 3)
    assert owners(store) == "--a-a-a"


def test_an_owner_does_not_wait_for_ever_for_those_who_come_again_and_again(store: Store) -> None:
    order(store, "a", 5)
    begun = ""
    for _ in range(12):
        for owner in "bc":
            order(store, owner)
        begun += "".join(row.owner or "" for row in begin(store, 2))
    assert begun.count("a") == 5


def test_each_priority_has_turns_of_its_own(store: Store) -> None:
    order(store, "a", 9)
    order(store, "a", 2, priority=60)
    order(store, "b", 1, priority=60)
    assert owners(store, 5) == "aabaa"


def test_many_at_once_stand_as_if_each_had_been_ordered_by_itself(store: Store) -> None:
    order(store, "b", 3)
    like = a_row(queue="default", owner="a", lane=lane_of("a"))
    store.insert_all([like._replace(id=new_id(), settings={"n": number}) for number in range(4)])
    order(store, "a", 1)
    assert owners(store) == "bbabaaaa"
    rows = [store.get(due.id) for due in store.due_in("default", [TASK], 50)]
    assert [row.settings["n"] for row in rows if row and "n" in row.settings] == [0, 1, 2, 3]


def test_what_becomes_due_takes_its_turn_then(store: Store) -> None:
    (later,) = order(store, "b", run_after=clock.after(3600))
    order(store, "a", 5)
    begin(store, 2)
    assert store.due_in("default", [TASK], 50)[-1].id != later.id
    due(store, [later])
    assert owners(store) == "abaa"  # who has waited longer comes first in the turn


def due(store: Store, rows: Sequence[StatusRow]) -> None:
    """Let the time of rows come."""
    for row in rows:
        statement = f"UPDATE forktask_status SET due_at = created_at WHERE id = {literal(store, row)}"
        execute(store, statement)
    while store.bring_in_line():
        continue


def execute(store: Store, statement: str) -> None:
    store.database.run(lambda cursor: cursor.execute(statement))


def literal(store: Store, row: StatusRow) -> str:
    return f"'{row.id}'" if store.database.kind == "postgresql" else f"'{row.id.hex}'"


def test_many_that_become_due_at_once_take_turns(store: Store) -> None:
    rows = order(store, "a", 300, run_after=clock.after(3600)) + order(store, "b", 2, run_after=clock.after(3600))
    due(store, rows)
    assert owners(store, 5).count("b") == 2
    assert len(store.due_in("default", [TASK], 1000)) == 302


def test_two_who_bring_the_same_rows_in_line_do_it_once(store: Store, supervisor_store: Store) -> None:
    rows = order(store, "a", 3, run_after=clock.after(-5))
    assert not store.bring_in_line()
    before = [read(store, row).turn for row in rows]
    supervisor_store.bring_in_line()
    assert [read(store, row).turn for row in rows] == before == [1, 2, 3]


def test_an_interrupted_row_keeps_its_turn_and_one_that_failed_takes_a_new_one(store: Store) -> None:
    first, second = order(store, "a", 2, max_attempts=5)
    order(store, "a", 3)
    begun = {row.id: row for row in begin(store, 2)}
    store.save([], [an_end(begun[first.id], State.QUEUED, counts=False)])
    store.save([], [an_end(begun[second.id], State.QUEUED, run_after=clock.after(-1))])
    assert store.due_in("default", [TASK], 1)[0].id == first.id
    store.bring_in_line()
    line = [found.id for found in store.due_in("default", [TASK], 50)]
    assert (line[0], line[-1]) == (first.id, second.id)


def test_a_retry_takes_a_new_turn(store: Store) -> None:
    row = running(store, queue="default", owner="a", lane=lane_of("a"))
    store.save([], [an_end(row, State.FAILED)])
    order(store, "b", 3)
    assert store.retry(row.id, row.attempt)
    store.bring_in_line()
    assert owners(store) == "bbab"
