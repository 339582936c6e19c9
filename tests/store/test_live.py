"""What has not ended and somebody may see is found without a look at what they may not see."""

from __future__ import annotations

from typing import Any

from forktask.rows import StatusRow
from forktask.states import LIVE, State
from forktask.store import Store
from forktask.store.statuses import select_live
from forktask.tables import STATUS
from tests.databases import order
from tests.store.examples import inserted
from tests.store.test_plans import NEW_ID, plan, scans

MANY = 8192


def found(store: Store, owner: str | None = None, visitor: str | None = None, limit: int = 9) -> list[StatusRow]:
    return store.find_live((owner, visitor), limit)


def test_ones_own_and_public_ones_that_have_not_ended_are_found_newest_first(store: Store) -> None:
    rows: dict[str, list[Any]] = {"bob": [], "visitor": [], "public": []}
    for state in State:
        mine = inserted(store, state=state, owner="bob")
        both = inserted(store, state=state, owner="bob", public=1)
        known = inserted(store, state=state, visitor="v")
        inserted(store, state=state, owner="Bob")
        inserted(store, state=state)
        if state in LIVE:
            rows["bob"] += [mine.id, both.id]
            rows["visitor"].append(known.id)
            rows["public"].append(both.id)
    assert [row.id for row in found(store, "bob")] == sorted(rows["bob"], reverse=True)
    assert [row.id for row in found(store, "eve")] == sorted(rows["public"], reverse=True)
    assert [row.id for row in found(store)] == sorted(rows["public"], reverse=True)
    either = sorted([*rows["bob"], *rows["visitor"]], reverse=True)
    assert [row.id for row in found(store, "bob", "v")] == either
    assert [row.id for row in found(store, "bob", "v", limit=2)] == either[:2]


def test_neither_what_waits_for_others_nor_what_has_ended_is_looked_at(store: Store) -> None:
    mine = inserted(store, owner="bob")
    inserted(store, owner="eve")
    for owner in ("bob", "eve"):
        inserted(store, owner=owner, state=State.COMPLETED)
    others = ", ".join(column.name for column in STATUS.c if column.name != "id")
    copy = f"INSERT INTO forktask_status (id, {others}) SELECT {NEW_ID[store.database.kind]}, {others}"
    count = 3
    while count < MANY:
        order(store.url, f"{copy} FROM forktask_status WHERE owner = 'eve' OR state = 'completed'")
        count *= 2
    order(store.url, "ANALYZE TABLE forktask_status" if store.database.kind == "mariadb" else "ANALYZE")
    store.close()
    steps = plan(store, select_live, (True, True), {"owner": "bob", "visitor": "v", "limit": 51})
    for name in ("live_owner", "visitor", "live_public"):
        assert f"forktask_status_{name}" in str(steps), "\n".join(map(str, steps))
    assert scans(store, steps) == [], steps
    assert [row.id for row in found(store, "bob", "v")] == [mine.id]
