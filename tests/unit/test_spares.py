"""How many runners are forked ahead, and when."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from forktask import clock
from forktask.supervisor.fleet import Fleet
from forktask.supervisor.loop import REFILL_AFTER, Supervisor
from forktask.supervisor.worker import PACE_SECONDS, Worker


def a_worker(
    *, more: bool, ended: list[float], spares: int = 1, kept: bool = False, allowed: int = 2, on_host: int = 2
) -> Any:
    """Return a worker of two processes, or fewer for now, of which so many seconds ago runners ended."""
    now = clock.monotonic()
    return SimpleNamespace(
        settings=SimpleNamespace(spare_runners=spares, max_running=on_host),
        orders=SimpleNamespace(more_in_table=more, remaining=None),
        relays=SimpleNamespace(are_kept=kept),
        fleet=SimpleNamespace(hurried=0, dismiss_needless=lambda: None),
        scale=SimpleNamespace(now=allowed),
        _ends=deque((now - seconds for seconds in ended), maxlen=2),
    )


@pytest.mark.parametrize(
    ("given", "hurried"),
    [
        ({"more": True, "ended": [0.01] * 9}, 2),
        ({"more": True, "ended": [PACE_SECONDS + 1, 0.01]}, 1),
        ({"more": False, "ended": [0.01] * 9}, 0),
        ({"more": True, "ended": [0.01] * 9, "spares": 0}, 0),
        ({"more": True, "ended": [0.01] * 9, "kept": True}, 0),
        ({"more": True, "ended": [0.01] * 9, "allowed": 1}, 1),
        ({"more": True, "ended": [0.01] * 9, "on_host": 1}, 1),
    ],
)
def test_a_worker_has_a_spare_for_each_place_that_gets_free_all_the_time(given: dict[str, Any], hurried: int) -> None:
    worker = a_worker(**given)
    Worker._follow_pace(worker)
    assert worker.fleet.hurried == hurried


def test_spares_of_a_hurry_leave_when_it_is_over() -> None:
    left: list[int] = []
    spares = [
        SimpleNamespace(channel=SimpleNamespace(hang_up=lambda number=number: left.append(number)))
        for number in range(3)
    ]
    fleet: Any = SimpleNamespace(spares=spares, most_spares=1)
    Fleet.dismiss_needless(fleet)
    assert (len(fleet.spares), left) == (1, [2, 1])


@pytest.mark.parametrize("more", [True, False])
def test_the_next_runner_is_forked_at_once_where_more_waits_even_if_this_one_had_to_be_waited_for(more: bool) -> None:
    refills, now = list[float](), 5.0
    fleet = SimpleNamespace(
        taken=1, lacks_spares=True, refill=lambda: refills.append(now), dismiss_needless=lambda: None
    )
    orders = SimpleNamespace(more_in_table=more, pending={})
    loop: Any = SimpleNamespace(fleet=fleet, orders=orders, stopping=False, _taken=0, _refill_at=1e9)
    Supervisor._refill(loop, now)
    assert refills == ([5.0] if more else [])
    now += REFILL_AFTER
    Supervisor._refill(loop, now)
    assert refills == ([5.0] if more else [now])


@pytest.mark.parametrize(("more", "pending"), [(False, False), (True, False), (False, True)])
def test_spares_whose_orders_came_to_nothing_leave_where_nothing_waits_for_them(more: bool, pending: bool) -> None:
    dismissed: list[bool] = []
    fleet = SimpleNamespace(taken=0, lacks_spares=False, dismiss_needless=lambda: dismissed.append(True))
    orders = SimpleNamespace(more_in_table=more, pending={"an id": "an order"} if pending else {})
    loop: Any = SimpleNamespace(fleet=fleet, orders=orders, stopping=False, _taken=0, _refill_at=0.0)
    Supervisor._refill(loop, 5.0)
    assert bool(dismissed) is not (more or pending)


@pytest.mark.parametrize(("needed", "most"), [(None, 3), (2, 2), (9, 3), (0, 0)])
def test_no_more_spares_wait_than_will_be_taken(needed: int | None, most: int) -> None:
    fleet: Any = SimpleNamespace(settings=SimpleNamespace(spare_runners=1), hurried=3, most_needed=needed)
    assert Fleet.most_spares.fget(fleet) == most  # type: ignore[attr-defined]


@pytest.mark.parametrize("hurried", [0, 2])
def test_only_a_spare_that_has_time_rehearses(hurried: int) -> None:
    asked: list[bool] = []

    class Nursery:
        def ask(self, *, has_time: bool) -> bool:
            asked.append(has_time)
            fleet.lacks_spares = False
            return True

    fleet: Any = SimpleNamespace(hurried=hurried, lacks_spares=True, nursery=Nursery(), spares=[], _is_cold=False)
    Fleet.refill(fleet)
    assert asked == [not hurried]
