"""Where limits leave room, as a supervisor looks for it: nothing that may begin is overlooked for ever."""

from __future__ import annotations

import pytest

from forktask.limit import Limit
from forktask.rows import Due, StatusRow
from forktask.store import Store, limits
from forktask.supervisor import rooms
from forktask.supervisor.rooms import Rooms
from tests.store.examples import a_scope, inserted
from tests.store.test_limits import TASK, claimed, waits


def looked(found: Rooms, store: Store, queue: str = "default") -> list[Due]:
    """Return what is found in one look."""
    found.see(store.queue_rows())
    found.look()
    return found.take(found.due_in(queue, {TASK}, 4))


def is_found(store: Store, row: StatusRow, looks: int) -> bool:
    """Return True if a row is found within so many looks; until then it must not seem that nothing is due."""
    found = Rooms(store)
    for _ in range(looks):
        if [due.id for due in looked(found, store)] == [row.id]:
            return True
        if not found.holds_back(["default"], {TASK}, a_scope()):
            return False
    return False


@pytest.mark.parametrize(("names", "lines"), [(500, 3), (4, 3), (4, 2), (3, 64)])
def test_many_that_nobody_here_may_begin_keep_nobody_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, names: int, lines: int
) -> None:
    monkeypatch.setattr(limits, "MOST_NAMES", names)
    monkeypatch.setattr(rooms, "MOST_NAMES", names)
    monkeypatch.setattr(rooms, "MOST_LINES", lines)
    for name in [f"a{number}" for number in range(10)]:
        store.write_limits({name}, Limit(running=1))
        waits(store, name, queue="other")
    store.write_limits({"z"}, Limit(running=1))
    assert is_found(store, waits(store, "z"), 20)


def test_a_limit_of_which_nothing_is_said_keeps_nobody_back(store: Store) -> None:
    assert is_found(store, waits(store), 1)


def test_what_only_the_rate_of_its_queue_keeps_back_is_seen(store: Store) -> None:
    store.limit_queue("default", Limit(rate=1, per=3600))
    store.write_limits({"printer"}, Limit(running=5))
    first, _ = waits(store), waits(store)
    assert claimed(store, first, queue="default")
    found = Rooms(store)
    assert looked(found, store) == []
    assert 3500 < (found.opens_in or 0) <= 3600
    assert found.holds_back(["default"], {TASK}, a_scope())
    assert not found.holds_back(["other"], {TASK}, a_scope())


def test_what_a_full_queue_keeps_back_is_seen(store: Store) -> None:
    store.limit_queue("default", Limit(running=1))
    assert claimed(store, inserted(store, queue="default"), queue="default")
    waits(store)
    found = Rooms(store)
    assert looked(found, store) == []
    assert found.holds_back(["default"], {TASK}, a_scope())
