"""How rows come into the table: many at once, by the clock of the database, and one at a time where a key says so."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from forktask import clock
from forktask.errors import DuplicateError
from forktask.rows import StatusRow, new_id
from forktask.rules import OnConflict
from forktask.states import Cause, State
from forktask.store import Store, StoreRefusedError
from tests.store.examples import SUPERVISOR, a_claim, a_row, a_scope, an_end, inserted, read, running

KEY = "0f" * 32


def unique(**values: object) -> StatusRow:
    return a_row(**{"unique_key": KEY, **values})


def of_one_order(count: int) -> list[StatusRow]:
    like = a_row()
    return [like._replace(id=new_id(), once_key=f"{number}") for number in range(count)]


@pytest.mark.parametrize("shift", [-3600, 0, 3600])
def test_a_delay_counts_by_the_clock_of_the_database(store: Store, shift: float) -> None:
    real = clock.now()
    clock.shift(shift)
    try:
        row = a_row(run_after=clock.after(60))
        store.insert(row, delay=60)
        many = [a_row(run_after=clock.after(60)) for _ in range(3)]
        store.insert_all(many, delay=60)
    finally:
        clock.shift(0)
    for one in (row, *many):
        found = read(store, one)
        assert found.run_after is not None
        assert abs(found.run_after - real - timedelta(seconds=60)) < timedelta(seconds=20)
        assert abs(found.due_at - found.run_after) < timedelta(seconds=1)


def test_many_rows_are_written_as_each_would_be(store: Store) -> None:
    like = a_row(owner="7", queue="slow", priority=70, metadata={"a": [1]})
    rows = [like._replace(id=a_row().id, settings={"n": number, "é": None}) for number in range(300)]
    assert [placed.row for placed in store.insert_all(rows)] == rows
    in_line = [row._replace(turn=turn) for turn, row in enumerate(rows, 1)]
    assert sorted(store.find(limit=1000)) == sorted(in_line)
    assert store.insert_all([]) == []


def test_of_many_rows_none_is_written_if_one_is_refused(store: Store) -> None:
    rows = [a_row() for _ in range(5)]
    inserted(store, id=rows[3].id)
    with pytest.raises(StoreRefusedError):
        store.insert_all(rows)
    assert len(store.find()) == 1


def test_the_same_order_of_many_again_finds_all_of_the_first(store: Store) -> None:
    first, second = of_one_order(3), of_one_order(3)
    assert [placed.row for placed in store.insert_all(first)] == first
    assert [placed.row for placed in store.insert_all(second)] == first
    assert len(store.find()) == 3


def test_the_same_order_of_many_by_many_at_once_is_written_once(store: Store) -> None:
    orders = [of_one_order(20) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(store.insert_all, orders))
    assert len(store.find()) == 20
    assert all(placed == found[0] for placed in found)


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED])
def test_who_has_not_ended_keeps_others_out(store: Store, state: State) -> None:
    first = running(store, unique_key=KEY) if state is State.RUNNING else inserted(store, unique_key=KEY, state=state)
    assert store.insert_or_find(unique()).row == first
    with pytest.raises(DuplicateError, match=f"unique: status {first.id} like this one is {state}") as caught:
        store.insert_or_find(unique(), on_conflict="refuse")
    assert caught.value.status_id == first.id
    with pytest.raises(StoreRefusedError):
        store.insert(unique())
    assert store.insert_or_find(unique(unique_key="1f" * 32)).row.id != first.id
    assert store.living(KEY) == first


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.CANCELLED, State.LOST])
def test_who_has_ended_keeps_nobody_out(store: Store, state: State) -> None:
    inserted(store, unique_key=KEY, state=state)
    assert store.living(KEY) is None
    row = unique()
    assert store.insert_or_find(row, on_conflict="refuse").row == row


def test_the_end_of_an_attempt_lets_the_next_in_unless_it_is_run_again(store: Store) -> None:
    first = running(store, unique_key=KEY)
    store.save([], [an_end(first, State.QUEUED, run_after=clock.after(60))])
    assert store.insert_or_find(unique()).row.id == first.id
    (again,) = store.claim([a_claim(first.id)])
    store.save([], [an_end(again)])
    row = unique()
    assert store.insert_or_find(row).row == row


def test_a_key_until_the_start_goes_with_the_first_claim(store: Store) -> None:
    first = inserted(store, unique_key=KEY, unique_until_start=1)
    assert store.insert_or_find(unique()).row == first
    (claimed,) = store.claim([a_claim(first.id)])
    assert read(store, claimed).unique_key is None
    second = unique(unique_until_start=1)
    assert store.insert_or_find(second).row == second
    store.save([], [an_end(claimed, State.QUEUED, run_after=clock.after(60))])  # takes no place that it gave up
    assert store.living(KEY) == second


def test_a_waiting_one_is_replaced_in_the_same_moment(store: Store) -> None:
    first, second = inserted(store, unique_key=KEY), unique()
    placed = store.insert_or_find(second, on_conflict="replace")
    assert (placed.row, placed.replaced) == (second, (first.id,))
    gone = read(store, first)
    assert (gone.state, gone.cause, gone.unique_key) == (State.CANCELLED, Cause.CANCELLED, KEY)
    assert store.living(KEY) == second


def test_a_running_one_is_asked_to_end_and_gives_up_its_key(store: Store) -> None:
    first, second = running(store, unique_key=KEY), unique()
    placed = store.insert_or_find(second, on_conflict="replace")
    assert placed.replaced == (first.id,)
    asked = read(store, first)
    assert (asked.state, asked.unique_key) == (State.RUNNING, None)
    assert asked.cancel_requested_at is not None
    assert store.living(KEY) == second


def test_a_refused_row_replaces_nobody(store: Store) -> None:
    first = inserted(store, unique_key=KEY)
    with pytest.raises(StoreRefusedError):
        store.insert_or_find(unique(done=2**70), on_conflict="replace")
    assert read(store, first) == first


def test_a_form_that_comes_again_does_not_replace_what_it_ordered(store: Store) -> None:
    first = unique(once_key="a")
    store.insert_or_find(first, on_conflict="replace")
    placed = store.insert_or_find(unique(once_key="a"), on_conflict="replace")
    assert (placed.row, placed.replaced) == (first, ())


def test_a_retry_of_what_ended_is_refused_while_another_lives(store: Store) -> None:
    failed = inserted(store, unique_key=KEY, state=State.FAILED)
    other = inserted(store, unique_key=KEY)
    with pytest.raises(DuplicateError) as caught:
        store.retry(failed.id, 1)
    assert caught.value.status_id == other.id
    assert read(store, failed) == failed
    assert store.cancel_waiting(other.id)
    assert store.retry(failed.id, 1)


def test_many_with_keys_join_refuse_or_replace(store: Store) -> None:
    first = inserted(store, unique_key=KEY)
    keys = ["1f" * 32, KEY, "1f" * 32]
    rows = [a_row(unique_key=key) for key in keys]
    joined = [placed.row for placed in store.insert_all(rows)]
    assert joined == [rows[0], first, rows[0]]
    with pytest.raises(DuplicateError):
        store.insert_all([a_row(unique_key=key) for key in ("2f" * 32, KEY)], on_conflict="refuse")
    assert store.living("2f" * 32) is None, "half of a call was written"
    (placed,) = store.insert_all([unique()], on_conflict="replace")
    assert placed.replaced == (first.id,)


def test_the_same_order_of_many_equal_ones_again_writes_none_though_the_first_has_ended(store: Store) -> None:
    rows = [unique(once_key=f"{number}") for number in range(3)]
    assert [placed.row for placed in store.insert_all(rows)] == [rows[0]] * 3
    (claimed,) = store.claim([a_claim(rows[0].id)])
    store.save([], [an_end(claimed)])
    again = store.insert_all([row._replace(id=new_id()) for row in rows])
    assert {placed.row.id for placed in again} == {row.id for row in store.find()} == {rows[0].id}


@pytest.mark.parametrize("on_conflict", ["join", "refuse", "replace"])
def test_of_many_at_once_one_lives(store: Store, on_conflict: str) -> None:
    def order(number: int) -> StatusRow | None:
        try:
            placed = store.insert_or_find(unique(owner=str(number)), on_conflict=on_conflict)  # type: ignore[arg-type]
        except DuplicateError:
            return None
        return placed.row

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(order, range(48)))
    living = [row for row in store.find() if row.state is State.QUEUED]
    assert len(living) == 1
    ids = {row.id for row in found if row is not None}
    assert len(ids) == len(store.find()) == (48 if on_conflict == "replace" else 1)


def test_a_row_that_is_given_back_keeps_others_out_again_unless_one_has_come(store: Store) -> None:
    first = inserted(store, unique_key=KEY, unique_until_start=1)
    assert store.due(a_scope(), 1)[0].unique_key == KEY
    assert store.claim([a_claim(first.id)])
    assert store.release(first.id, 1, SUPERVISOR, unique_key=KEY)
    assert store.insert_or_find(unique()).row.id == first.id
    assert store.claim([a_claim(first.id)])
    second = unique()
    assert store.insert_or_find(second).row.id == second.id
    assert store.release(first.id, 1, SUPERVISOR, unique_key=KEY)
    assert [(read(store, row).state, read(store, row).unique_key) for row in (first, second)] == [
        (State.QUEUED, None),
        (State.QUEUED, KEY),
    ]


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED])
def test_a_row_that_is_to_go_is_deleted_when_it_completed(store: Store, state: State) -> None:
    row, other = running(store, delete_on_completion=1), running(store)
    store.save([], [an_end(row, state, deletes=state is State.COMPLETED), an_end(other)])
    assert (store.get(row.id) is None) is (state is State.COMPLETED)
    assert len(store.attempts(row.id)) == (0 if state is State.COMPLETED else 1)
    assert len(store.attempts(other.id)) == 1


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.LOST])
@pytest.mark.parametrize("of_program", [False, True])
def test_a_form_is_another_try_after_what_did_not_complete(store: Store, state: State, of_program: bool) -> None:
    content = "body" if of_program else None
    first = inserted(store, once_key="a", once_content=content, state=state)
    second, third = (a_row(once_key="a", once_content=content) for _ in range(2))
    expected = first.id if of_program else second.id
    assert store.insert_or_find(second).row.id == expected
    assert store.insert_or_find(third).row.id == expected


@pytest.mark.parametrize("on_conflict", ["join", "refuse", "replace"])
def test_another_try_keeps_the_rule_of_its_key(store: Store, on_conflict: OnConflict) -> None:
    inserted(store, once_key="a", unique_key=KEY, state=State.FAILED)
    second = unique(once_key="a")
    assert store.insert_or_find(second, on_conflict=on_conflict).row.id == second.id


def test_of_many_who_try_again_at_once_one_writes(store: Store) -> None:
    inserted(store, once_key="a", state=State.LOST)
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: store.insert_or_find(a_row(once_key="a")).row.id, range(24)))
    assert len(found) == 1
    assert len(store.find()) == 2


@pytest.mark.parametrize("failed", [0, 1])
def test_of_an_order_of_many_what_failed_is_tried_again(store: Store, failed: int) -> None:
    first, second = of_one_order(3), of_one_order(3)
    states = [State.FAILED if number == failed else State.COMPLETED for number in range(3)]
    for row, state in zip(first, states, strict=True):
        store.insert(row._replace(state=state))
    expected = [(second if number == failed else first)[number].id for number in range(3)]
    assert [placed.row.id for placed in store.insert_all(second)] == expected
    assert [placed.row.id for placed in store.insert_all(of_one_order(3))] == expected
