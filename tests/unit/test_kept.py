"""The box of orders: each comes to the runner or back to its supervisor."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from forktask import kept
from forktask.progress import Page, Report
from forktask.supervisor.relays import Relays


@pytest.fixture
def box() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def test_orders_come_out_in_their_order_whatever_their_size(box: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = box
    large = '"' + "x" * 1_000_000 + '"'
    for order in ("1", large, "2"):
        kept.put(ours, order.encode())
    assert [kept.take(theirs), len(kept.take(theirs)), kept.take(theirs)] == [1, 1_000_000, 2]
    with pytest.raises(BlockingIOError):
        kept.take(theirs, socket.MSG_DONTWAIT)
    ours.close()
    assert kept.take(theirs) is None


def test_a_full_box_says_so(box: tuple[socket.socket, socket.socket]) -> None:
    count = 0

    def fill() -> None:
        nonlocal count
        while count < 10_000:
            kept.put(box[0], b'"' + b"x" * 1000 + b'"')
            count += 1

    with pytest.raises(BlockingIOError):
        fill()
    assert count > 50
    assert sum(1 for _ in range(count) if kept.take(box[1])) == count


def test_each_order_comes_to_one_of_two_who_take_at_once(box: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = box
    also = theirs.dup()
    found: list[list[int]] = [[], []]

    def take_all(end: socket.socket, into: list[int]) -> None:
        while (number := kept.take(end)) is not None:
            into.append(number)

    with also:
        takers = [threading.Thread(target=take_all, args=pair) for pair in zip((theirs, also), found, strict=True)]
        for taker in takers:
            taker.start()
        for number in range(2000):
            while True:
                try:
                    kept.put(ours, str(number).encode())
                    break
                except BlockingIOError:
                    continue
        ours.close()
        for taker in takers:
            taker.join(60)
    assert sorted(found[0] + found[1]) == list(range(2000))
    assert found[0] == sorted(found[0]) and found[1] == sorted(found[1])


def test_the_page_tells_whose_report_it_is() -> None:
    page = Page.anonymous()
    seen = Page(page.memory)
    page.begin(1)
    page.write(10.0, "first", None, None, None)
    found = seen.read_of(1)
    assert found is not None and found[1] == Report(10.0, "first")
    assert seen.read_of(2) is None
    page.begin(2)
    assert seen.number == 2
    assert seen.read_of(1) is None
    seen.forget()
    assert seen.read_of(2) is None
    page.write(20.0, "second", 1, 2, "rows")
    found = seen.read_of(2)
    assert found is not None and found[1] == Report(20.0, "second", 1, 2, "rows")


def test_a_request_to_stop_is_for_one_order() -> None:
    page = Page.anonymous()

    def seen() -> tuple[bool, bool]:
        return page.cancel_requested, page.stops_another

    page.begin(1)
    assert seen() == (False, False)
    page.request_cancel(1)
    assert seen() == (True, False)
    page.begin(2)
    assert seen() == (False, True)
    page.name_stop(0)
    assert seen() == (False, False)
    page.request_cancel(2)
    assert seen() == (True, False)


@pytest.mark.parametrize("living", [True, False])
def test_a_spare_that_has_ended_costs_no_order(living: bool) -> None:
    left: list[int] = []

    def runner(pid: int, sock: socket.socket) -> Any:
        channel = SimpleNamespace(post=lambda message: None, sock=sock, hang_up=lambda: left.append(pid))
        return SimpleNamespace(
            pid=pid, identity=None, page=None, channel=channel, output=SimpleNamespace(divide_at=lambda mark: None)
        )

    (ours, theirs), (alone, gone) = socket.socketpair(), socket.socketpair()
    gone.close()
    with ours, theirs, alone:
        spares = [runner(1, alone), runner(2, alone), runner(3, ours if living else alone)]
        fleet: Any = SimpleNamespace(learnt=0, take_spare=lambda: spares.pop(0))
        relays = Relays(fleet, 100)
        if living:
            charge = relays.reserve(1)
            assert charge is not None
            assert (charge.pid, left) == (3, [1, 2])
            found = relays.of(charge.runner)
            assert found is not None
            found.close()
        else:
            with pytest.raises(OSError, match="3 processes in a row ended before they took an order"):
                relays.reserve(1)


@pytest.mark.parametrize("why", ["a module was learnt", "fewer are needed"])
def test_who_does_not_know_the_newest_tasks_or_is_one_too_many_is_given_nothing_more(why: str) -> None:
    def runner(pid: int) -> Any:
        channel = SimpleNamespace(post=lambda message: None, sock=stack.enter_context(ours.dup()))
        output = SimpleNamespace(divide_at=lambda mark: None)
        return SimpleNamespace(pid=pid, identity=None, page=None, channel=channel, output=output)

    def reserved() -> int:
        charge = relays.reserve(1)
        assert charge is not None
        relay = relays.of(charge.runner)
        assert relay is not None
        relay.cancel()  # so that it is idle
        stack.callback(relay.close)
        return charge.pid

    ours, theirs = socket.socketpair()
    with ours, theirs, ExitStack() as stack:
        spares = [runner(1), runner(2)]
        fleet: Any = SimpleNamespace(learnt=0, take_spare=lambda: spares.pop(0))
        relays = Relays(fleet, 100)
        assert reserved() == 1
        relays.most_idle = 1
        assert reserved() == 1
        if why == "a module was learnt":
            fleet.learnt += 1
        else:
            relays.most_idle = 0
        assert reserved() == 2


def test_no_report_of_one_order_is_ever_seen_as_that_of_the_next() -> None:
    class Watched:
        """Memory of which somebody reads after each write."""

        def __init__(self, memory: Any) -> None:
            self.memory = memory

        def __getitem__(self, key: Any) -> Any:
            return self.memory[key]

        def __setitem__(self, key: Any, value: Any) -> None:
            self.memory[key] = value
            found.append(seen.read_of(2))

    page, found = Page.anonymous(), list[Any]()
    seen = Page(page.memory)
    page.begin(1)
    page.write(10.0, "first", None, None, None)
    watched: Any = Watched(page.memory)
    page._memory = watched
    page.begin(2)
    assert len(found) > 1 and set(found) == {None}
