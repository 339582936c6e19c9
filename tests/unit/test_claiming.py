"""What becomes of claimed rows, alone and of batches, when something goes wrong on their way to a runner."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from forktask import process
from forktask.errors import StoreError
from forktask.progress import Page
from forktask.rows import Due
from forktask.supervisor.batch import Batch
from forktask.supervisor.charge import Charge
from forktask.supervisor.order import Order
from forktask.supervisor.orders import Orders
from tests import zoo
from tests.store.examples import RUNNER, a_row, a_supervisor

TASK = zoo.TogetherTask.name
CLAIMED: dict[str, Any] = {
    f"runner_{name}": getattr(RUNNER, name) for name in ("boot_id", "pid_namespace", "pid", "start_ticks")
}


def test_a_row_that_was_claimed_for_another_runner_is_left_to_that() -> None:
    runner: Any = SimpleNamespace(pid=1, identity=RUNNER, page=None, output=None, forked=True, channel=None)
    free: list[Any] = []
    fleet: Any = SimpleNamespace(learnt=0, under_way={}, give_back=free.append)
    orders = Orders(SimpleNamespace(max_running=1), fleet, SimpleNamespace(store=None), a_supervisor().id)  # type: ignore[arg-type]
    row = a_row(task=TASK, runner_pid=RUNNER.pid + 1, runner_start_ticks=1)
    orders._claimed([(Order(id=str(row.id), task=row.task), Charge(runner))], {row.id: row})
    assert free == [runner]
    assert fleet.under_way == {}


def test_a_row_that_cannot_be_failed_now_keeps_no_other_from_its_runner() -> None:
    def refuse(*given: Any, **more: Any) -> None:
        raise StoreError("the database is away")

    sent: list[Any] = []
    store: Any = SimpleNamespace(fail_launch=refuse, release=refuse)
    fleet: Any = SimpleNamespace(learnt=0, under_way={}, give_back=lambda runner: None)
    orders = Orders(SimpleNamespace(max_running=1), fleet, SimpleNamespace(store=store), a_supervisor().id)  # type: ignore[arg-type]
    runner: Any = SimpleNamespace(
        pid=RUNNER.pid, identity=RUNNER, page=Page.anonymous(), output=None, forked=True, charge=None,
        channel=SimpleNamespace(post=sent.append), kills=SimpleNamespace(about_now=lambda: 0),
    )  # fmt: skip
    bound, other = (a_row(task=TASK, bound=number, **CLAIMED) for number in (1, 0))
    seats = [(Order(id=str(row.id), task=row.task), Charge(runner)) for row in (bound, other)]
    with pytest.raises(StoreError):
        orders._claimed(seats, {bound.id: bound, other.id: other})
    assert [message["id"] for message in sent] == [str(other.id)]
    assert orders._unreleased == {bound.id: bound.attempt}


def test_a_batch_whose_runner_died_while_its_claim_was_in_doubt_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "is_alive", lambda identity: False)
    released: dict[Any, Any] = {}
    me = a_supervisor().id
    runner: Any = SimpleNamespace(pid=1, identity=RUNNER, page=None, output=None)
    claimed = CLAIMED | {"supervisor_id": me}
    rows = {row.id: row for row in (a_row(task=TASK, **claimed) for _ in range(2))}
    store = SimpleNamespace(
        get=rows.get, release=lambda status_id, attempt, by, unique_key: released.update({status_id: unique_key})
    )
    fleet: Any = SimpleNamespace(learnt=0, under_way={})
    orders = Orders(SimpleNamespace(max_running=1), fleet, SimpleNamespace(store=store), me)  # type: ignore[arg-type]
    before = len(os.listdir("/proc/self/fd"))
    seats = zip(rows, Batch(runner, 2, "batch").charges, strict=True)
    key = str(min(rows))
    found = [a_row(id=one, task=TASK, unique_key=key, unique_until_start=1) for one in rows]
    orders.take_due([[Due._make(getattr(row, name) for name in Due._fields)] for row in found], ())
    orders._doubtful = [(orders.pending[str(one)], charge) for one, charge in seats]
    orders._settle_doubts()
    assert released == dict.fromkeys(rows, key), "each gets back what its claim gave up"
    assert len(os.listdir("/proc/self/fd")) == before
