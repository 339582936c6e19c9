"""No look at the table grows slower with the rows that are final."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

import pytest

from forktask import clock
from forktask.rows import new_id
from forktask.states import State
from forktask.store import Store
from forktask.store.admission import select_counts
from forktask.store.claims import update_claimed
from forktask.store.conditions import padded
from forktask.store.inserting import select_by_once_key
from forktask.store.limits import select_any_name, select_queue_room, select_rooms
from forktask.store.lines import select_come, select_due_in, select_line, select_next_turn
from forktask.store.listing import select_count, select_ids_between, select_ids_of_reference, select_listed
from forktask.store.notices import select_next_due
from forktask.store.orders import select_living
from forktask.store.queues import (
    select_awaited_in,
    select_due_by_id,
    select_running_in,
    select_waiting_queues,
    select_waiting_tasks,
)
from forktask.store.saving import KEPT_UNLESS_GIVEN, REPORTED, select_requests, update_end, update_sample
from forktask.store.statuses import select_beside_count, select_durations, select_live, select_status, select_statuses
from forktask.store.supervisors import select_running_count, select_under_way
from forktask.store.waiting import select_awaited, select_bound, select_due, select_unknown, select_waiting
from forktask.tables import STATUS
from tests.databases import KINDS, database_url, order
from tests.store.examples import RUNNER, a_row, inserted, running

FINAL_ROWS = 20_000

NEW_ID = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "gen_random_uuid()",
    "mariadb": "REPLACE(UUID(), '-', '')",
}


@pytest.fixture(scope="module", params=KINDS)
def full_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Give a store with twenty thousand final rows beside a few that are not."""
    with database_url(request.param, tmp_path_factory.mktemp("full")) as url:
        store = Store(url)
        for owner in ("bob", "eve"):
            inserted(store, state=State.COMPLETED, owner=owner)
        others = ", ".join(column.name for column in STATUS.c if column.name != "id")
        copy = (
            f"INSERT INTO forktask_status (id, {others}) SELECT {NEW_ID[request.param]}, {others} FROM forktask_status"
        )
        count = 2
        while count < FINAL_ROWS:
            order(url, copy)
            count *= 2
        for _ in range(5):
            inserted(store)
            inserted(store, queue="default")
            running(store)
        inserted(store, state=State.PAUSED)
        analyze(store)
        store.close()  # SQLite reads what was counted when it connects
        yield store
        store.close()


def analyze(store: Store) -> None:
    """Have the database count what is in its indexes, for its plans."""
    order(store.url, "ANALYZE TABLE forktask_status" if store.database.kind == "mariadb" else "ANALYZE")


SERVING = "live|initiated|queue|line|limit|later"
"""Indexes that are limited to what lives."""
WHOLE = re.compile(rf"SCAN forktask_(attempt|status(?! USING (COVERING )?INDEX forktask_status_({SERVING})))")
"""What SQLite says of a step that reads all."""


def plan(store: Store, build: Any, arguments: tuple[Hashable, ...], values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the plan of a statement, a row of the answer each."""
    explain = "EXPLAIN QUERY PLAN " if store.database.is_sqlite else "EXPLAIN "

    def work(cursor: Any) -> list[dict[str, Any]]:
        statement = store.database.compiled(build, *arguments)
        cursor.execute(explain + statement.sql, statement.parameters(values))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    return store.database.run(work)


def _number(told: object) -> int:
    """Return how many rows MariaDB expects: where it filters by another index it says `1 (0%)`."""
    return int(str(told or 0).split()[0])


def scans(store: Store, steps: list[dict[str, Any]]) -> list[str]:
    """Return the steps that read the whole table, or a whole index that is not limited to what lives."""
    if store.database.kind == "mariadb":
        whole = [step for step in steps if step["type"] in ("ALL", "index") or _number(step["rows"]) > 1000]
        others = ("<", "forktask_limit")  # what an inner select gave, and limits
        return [str(step) for step in whole if not str(step["table"]).startswith(others)]
    told = [str(step.get("detail") or step.get("QUERY PLAN")) for step in steps]
    if store.database.is_sqlite:
        return [step for step in told if WHOLE.search(step)]
    return [step for step in told if "Seq Scan on forktask_status" in step]


SCOPE = padded("mine", ["shop-2"]) | padded("other", ["shop-1"]) | {"application": "shop", "microseconds": 1}
RUNNER_COLUMNS = {"runner_boot_id": "b", "runner_pid_namespace": "1", "runner_pid": 1, "runner_start_ticks": 1}
LOOKS: dict[str, tuple[Any, tuple[Hashable, ...], dict[str, Any]]] = {
    "due": (select_due, (2, 1, 1), padded("task", [a_row().task, "b"]) | SCOPE | {"limit": 10}),
    "awaited": (select_awaited, (2, 1, 1), padded("task", [a_row().task, "b"]) | SCOPE),
    "unknown": (select_unknown, (1, 1, 1, True), padded("task", ["b"]) | SCOPE),
    "waiting": (select_waiting, (), {}),
    "bound": (select_bound, (), {}),
    "get": (select_status, (), {"status_id": new_id()}),
    "once": (select_by_once_key, (), {"once_key": "0f" * 32}),
    "requests": (select_requests, (2,), padded("id", [new_id(), new_id()])),
    "under way": (select_under_way, (False,), {}),
    "under way with others": (select_under_way, (True,), {"supervisor_id": new_id()}),
    "under way beside one": (
        select_beside_count,
        (),
        {"status_id": new_id(), "supervisor_id": new_id(), **RUNNER_COLUMNS},
    ),
    "running here": (select_running_count, (), {"boot_id": RUNNER.boot_id}),
    "what is live and somebody may see": (
        select_live,
        (True, True),
        {"owner": "bob", "visitor": "nobody", "limit": 51},
    ),
    "what is live of an owner": (
        select_statuses,
        ((State.PAUSED, State.QUEUED, State.RUNNING), False, True),
        {"owner": "nobody", "limit": 10},
    ),
    "due in a queue": (
        select_due_in,
        (2, False),
        padded("task", [a_row().task, "b"]) | {"line": "default", "limit": 10},
    ),
    "one that is due": (select_due_by_id, (1,), padded("task", ["b"]) | {"status_id": new_id()}),
    "queues": (select_waiting_queues, (), {}),
    "tasks in a queue": (select_waiting_tasks, (), {"queue": "default"}),
    "awaited in queues": (select_awaited_in, (1, 1), padded("queue", ["default"]) | padded("task", ["b"])),
    "line of a queue": (select_line, (), {"line": "default", "limit": 1000}),
    "running in a queue": (select_running_in, (), {"queue": "default"}),
    "in a line, of one queue": (
        select_due_in,
        (1, True),
        padded("task", [a_row().task]) | {"line": ":printer", "queue": "default", "limit": 10},
    ),
    "initiated, in a line": (
        select_due,
        (1, 1, 1, True),
        padded("task", [a_row().task]) | SCOPE | {"line": ":printer", "limit": 10},
    ),
    "what comes in line": (select_come, (), {"limit": 250}),
    "turn": (select_next_turn, (), {"of_line": "default", "of_priority": 50, "of_lane": ""}),
    "waits under a limit": (select_any_name, (), {}),
    "rooms": (select_rooms, (), {"after": ""}),
    "under way by limit": (select_counts, ("limit_name", 1), padded("limit_name", ["printer"])),
    "under way by queue": (select_counts, ("queue", 1), padded("queue", ["default"])),
    "room of a queue": (select_queue_room, (), {"queue": "default"}),
    "next due": (
        select_next_due,
        (1, 1),
        padded("queue", ["default"]) | padded("task", ["b"]) | {"microseconds": 1_000_000},
    ),
    "listed, of a task": (select_listed, ((), frozenset({"task"})), {"task": "b", "limit": 20}),
    "listed, of an owner": (select_listed, ((), frozenset({"owner"})), {"owner": "nobody", "limit": 20}),
    "listed, running": (select_listed, ((State.RUNNING,), frozenset()), {"limit": 20}),
    "counted, what ended lately": (
        select_count,
        ((State.FAILED,), frozenset({"finished_since"})),
        {"finished_since": clock.after(-1)},
    ),
    "ids of a range": (select_ids_between, (), {"first": new_id(), "last": new_id(), "limit": 3}),
    "by reference": (select_ids_of_reference, (), {"reference": "AB12-CD34"}),
    "some of a page": (select_statuses, ((), False, False, 2), padded("id", [new_id(), new_id()]) | {"limit": 2}),
}

BY_KEY = {"get", "once", "requests", "what is live of an owner", "some of a page"} | {
    "due", "due in a queue", "one that is due", "queues", "tasks in a queue", "awaited in queues", "line of a queue",
    "in a line, of one queue", "initiated, in a line", "what comes in line", "turn", "waits under a limit", "rooms",
    "under way by limit", "next due", "listed, of a task", "listed, of an owner", "counted, what ended lately",
    "ids of a range", "by reference",
}  # fmt: skip
"""Looks that are served by another index than that of what lives."""
IN_ORDER = (
    "due", "due in a queue", "line of a queue", "in a line, of one queue", "initiated, in a line", "turn",
    "what comes in line",
)  # fmt: skip
"""Looks that need not sort what they find."""


def look_at(look: str, store: Store) -> tuple[Any, tuple[Hashable, ...], dict[str, Any]]:
    """Return a look; two are worded for each kind of database."""
    build, arguments, values = LOOKS[look]
    return build, (store.database.kind,) if build in (select_rooms, select_next_turn) else arguments, values


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_does_not_scan_what_is_final(full_store: Store, look: str) -> None:
    build, arguments, values = look_at(look, full_store)
    steps = plan(full_store, build, arguments, values)
    assert scans(full_store, steps) == [], steps


@pytest.mark.parametrize("look", sorted(LOOKS.keys() - BY_KEY))
def test_a_look_at_what_lives_uses_its_index(full_store: Store, look: str) -> None:
    build, arguments, values = look_at(look, full_store)
    assert "forktask_status_live" in str(plan(full_store, build, arguments, values))


@pytest.mark.parametrize("lock", [False, True])
def test_who_keeps_others_out_is_found_by_the_key(full_store: Store, lock: bool) -> None:
    row = inserted(full_store, unique_key=f"{lock}")
    steps = plan(full_store, select_living, (full_store.database.kind, lock), {"unique_key": row.unique_key})
    assert "forktask_status_unique" in str(steps)


def test_a_write_finds_its_row_by_the_key(full_store: Store) -> None:
    row = a_row()
    sample = {"status_id": row.id, "this_attempt": 1, "now": row.created_at}
    sample |= dict.fromkeys((*REPORTED, *KEPT_UNLESS_GIVEN))
    end = sample | {"result": None, "cause": None, "error": None, "reference": None}
    end |= dict.fromkeys(("started_at", "finished_at"), row.created_at)
    claim = padded("id", [new_id(), new_id()]) | {"supervisor_id": new_id(), "now": row.created_at}
    claim |= RUNNER_COLUMNS
    for build, arguments, values in (
        (update_sample, (), sample),
        (update_end, (State.COMPLETED, True, False), end),
        (update_claimed, (2, full_store.database.kind == "postgresql"), claim),
    ):
        if build is update_claimed and not full_store.database.has_returning:
            continue
        steps = plan(full_store, build, arguments, values)
        assert scans(full_store, steps) == [], steps


@pytest.mark.parametrize("look", IN_ORDER)
def test_what_is_due_comes_in_the_order_of_the_index(full_store: Store, look: str) -> None:
    build, arguments, values = look_at(look, full_store)
    told = str(plan(full_store, build, arguments, values)).lower()
    assert "temp b-tree" not in told
    assert "filesort" not in told


def test_who_looks_for_what_was_initiated_reads_nothing_of_what_waits_in_queues(full_store: Store) -> None:
    build, arguments, values = LOOKS["due"]
    told = str(plan(full_store, build, arguments, values))
    assert "forktask_status_initiated" in told or "forktask_status_of_no_queue" in told


def test_the_check_of_plans_sees_a_scan(full_store: Store) -> None:
    build, arguments, values = LOOKS["under way"]
    names, on_table = ["live"], ""
    if full_store.database.kind == "mariadb":  # where others that begin with the state would do
        names, on_table = ["live", "line", "lane", "later", "limit"], " ON forktask_status"
    order(full_store.url, *(f"DROP INDEX forktask_status_{name}{on_table}" for name in names))
    full_store.close()  # SQLite keeps the plan that it told before
    try:
        assert scans(full_store, plan(full_store, build, arguments, values))
    finally:
        full_store.create_tables()
        analyze(full_store)  # for the tests that come to this store later
        full_store.close()


def test_no_index_covers_what_progress_writes() -> None:
    written = {"percent", "message", "done", "total", "unit", "warnings", "phases", "checkpoint", "updated_at"}
    assert not written & {column.name for index in STATUS.indexes for column in index.columns}


def test_the_last_runs_of_a_task_are_read_from_their_index_and_no_more_than_asked_for(full_store: Store) -> None:
    told = str(plan(full_store, select_durations, (), {"task": a_row().task, "limit": 10})).lower()
    assert "forktask_status_history" in told
    assert "temp b-tree" not in told
    assert "filesort" not in told
    assert "sort key" not in told
