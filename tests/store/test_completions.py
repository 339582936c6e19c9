"""A completion hook is called by one caller, however many there are."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forktask.clock import now
from forktask.rows import new_id
from forktask.store import Store
from tests.store.forking import forked

HOOK = "shop.paid"


def test_of_eight_processes_one_calls(url: str, store: Store) -> None:
    status = new_id()

    def begin() -> str:
        own, holder = Store(url), new_id()
        row = own.begin_completion(status, HOOK, holder, patience=300)
        return "mine" if row.holder == holder else "another's"

    assert sorted(forked([begin] * 8)) == ["another's"] * 7 + ["mine"]


def test_who_comes_later_learns_where_the_hook_sent_the_person(store: Store) -> None:
    status, mine = new_id(), new_id()
    row = store.begin_completion(status, HOOK, mine, patience=300)
    assert (row.holder, row.returned_at, row.next_url) == (mine, None, None)
    assert store.begin_completion(status, HOOK, new_id(), patience=300) == row
    store.end_completion(row, "/thanks")
    later = store.begin_completion(status, HOOK, new_id(), patience=300)
    assert (later.holder, later.next_url) == (mine, "/thanks")
    assert later.returned_at is not None


def test_another_hook_and_another_status_are_calls_of_their_own(store: Store) -> None:
    status = new_id()
    for one, hook in ((status, HOOK), (status, "shop.sent"), (new_id(), HOOK)):
        holder = new_id()
        assert store.begin_completion(one, hook, holder, patience=300).holder == holder


def test_a_hook_that_failed_is_called_again(store: Store) -> None:
    status, again = new_id(), new_id()
    store.forget_completion(store.begin_completion(status, HOOK, new_id(), patience=300))
    assert store.begin_completion(status, HOOK, again, patience=300).holder == again


@pytest.mark.parametrize(("age", "is_mine"), [(299, False), (301, True)])
def test_a_call_that_never_came_back_is_begun_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch, age: float, is_mine: bool
) -> None:
    status, later = new_id(), new_id()
    first = store.begin_completion(status, HOOK, new_id(), patience=300)
    monkeypatch.setattr("forktask.clock.now", lambda: now() + timedelta(seconds=age))
    second = store.begin_completion(status, HOOK, later, patience=300)
    assert (second.holder == later) is is_mine
    if is_mine:
        store.end_completion(first, "/too-late")
        assert store.begin_completion(status, HOOK, new_id(), patience=300) == second


def test_a_call_that_says_that_it_goes_on_is_not_begun_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    status = new_id()
    first = store.begin_completion(status, HOOK, new_id(), patience=300)
    for age in (200, 400):
        monkeypatch.setattr("forktask.clock.now", lambda age=age: now() + timedelta(seconds=age))
        assert store.begin_completion(status, HOOK, new_id(), patience=300).holder == first.holder
        store.keep_completion(first)
    store.end_completion(first, "/thanks")
    returned = store.begin_completion(status, HOOK, new_id(), patience=300)
    store.keep_completion(first)
    assert store.begin_completion(status, HOOK, new_id(), patience=300) == returned
