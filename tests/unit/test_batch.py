"""Batches: what is put together, what each row has for itself, and how one is ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from forktask import batch, process
from forktask.limit import Room
from forktask.live import LiveStatus
from forktask.process import Exit
from forktask.progress import Page, Report, memory_file
from forktask.proof import refuse_in_batch
from forktask.rows import Due, new_id
from forktask.states import Cause, StartMethod
from forktask.supervisor.batch import Batch, Part
from forktask.supervisor.charge import Runner
from forktask.supervisor.order import Order
from forktask.supervisor.rooms import MOST_LINES, Rooms
from forktask.supervisor.seating import Seating
from forktask.task import Task
from tests.store.examples import RUNNER, a_row, a_supervisor


class YearsTask(Task):
    """Returns years."""

    batch = 3

    class Settings(BaseModel):
        year: int

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> list[Any]:
        for status in statuses:
            status.update(10, f"year {status.settings.year}")
        return [status.settings.year for status in statuses]


@pytest.fixture
def two_pages() -> Iterator[list[Page]]:
    memory = memory_file("batch", 2)
    pages = [Page.from_descriptor(memory, number) for number in range(2)]
    os.close(memory)
    yield pages
    for page in pages:
        page.close()


def test_what_only_lies_ready_for_a_runner_is_no_batch_for_who_does_not_know_the_task() -> None:
    beside = [2, 1, 0]
    store: Any = SimpleNamespace(get=lambda status_id: a_row(task="unknown"), count_beside=lambda row: beside.pop(0))
    refuse_in_batch("pause", new_id(), store)
    assert beside == []


def test_pages_of_one_file_are_apart(two_pages: list[Page]) -> None:
    first, second = two_pages
    first.write(10.0, "one", None, None, None)
    second.request_cancel()
    assert (first.cancel_requested, second.cancel_requested) == (False, True)
    assert first.read() is not None and second.read() is None


def shares(pages: list[Page], *settings: Any) -> list[batch.Share]:
    voice: Any = SimpleNamespace(tell=lambda word, value: None)
    order = {"task": YearsTask.name, "attempt": 1}
    orders = [order | {"id": str(new_id()), "settings": one} for one in settings]
    return [batch.Share(order, voice, page) for order, page in zip(orders, pages, strict=True)]


def test_settings_that_are_refused_by_now_cost_their_own_row_only(two_pages: list[Page]) -> None:
    words = batch.run(YearsTask.name, shares(two_pages, {"year": "soon"}, {"year": 2030}), nullcontext)
    assert [word["word"] for word in words] == ["error", "done"]
    assert "ValidationError" in words[0]["class"]
    assert words[1]["value"] == 2030
    found = two_pages[1].read()
    assert found is not None and found[1] == Report(10.0, "year 2030")
    assert two_pages[0].read() is None


class SortedTask(YearsTask):
    """Would have the order of the statuses, and so of the results, be another."""

    def execute_batch(self, statuses: Any) -> list[Any]:
        statuses.sort(key=lambda status: -status.settings.year)
        return [status.settings.year for status in statuses]


class OutOfMemoryTask(YearsTask):
    """Returns what was raised."""

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> list[Any]:
        try:
            raise MemoryError("one that was caught")
        except MemoryError as error:
            return [error for _ in statuses]


def test_nobody_can_give_the_statuses_another_order(two_pages: list[Page]) -> None:
    words = batch.run(SortedTask.name, shares(two_pages, {"year": 2030}, {"year": 2031}), nullcontext)
    assert [word["class"] for word in words] == ["AttributeError"] * 2


def test_an_error_for_want_of_memory_in_the_list_says_where_it_was_raised(two_pages: list[Page]) -> None:
    words = batch.run(OutOfMemoryTask.name, shares(two_pages, {"year": 2030}, {"year": 2031}), nullcontext)
    assert ["one that was caught" in word["traceback"] for word in words] == [True] * 2


@pytest.mark.parametrize(
    ("found", "results"), [(None, [None, None]), ([1, 2], [1, 2]), ((1, 2), (1, 2)), (["a", None], ["a", None])]
)
def test_each_status_has_a_result(found: object, results: object) -> None:
    assert batch.results_of(found, 2) == results


@pytest.mark.parametrize("found", ["ab", {"a": 1, "b": 2}, iter([1, 2]), 5])
def test_what_is_no_list_is_refused(found: object) -> None:
    with pytest.raises(TypeError, match="it returns a list with a result for each status, or None"):
        batch.results_of(found, 2)


class Scene:
    """A batch of three whose runner is none, and the signals that it would have got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[int] = []
        self.now = 100.0
        monkeypatch.setattr(process, "signal_own_group", lambda pid, *numbers: self.sent.extend(numbers))
        monkeypatch.setattr("forktask.clock.monotonic", lambda: self.now)
        channel = SimpleNamespace(post=lambda message: None, has_unsent=False, sock=None)
        output = SimpleNamespace(kept=1, dropped=0)
        runner: Any = SimpleNamespace(
            pid=1, identity=RUNNER, page=Page.anonymous(), channel=channel, output=output, together={}, charge=None,
            kills=SimpleNamespace(about_now=lambda: 0), was_signalled=False, forked=True,
        )  # fmt: skip
        monkeypatch.setattr("socket.send_fds", lambda *given: None)
        self.batch = Batch(runner, 3, "batch")
        definition: Any = SimpleNamespace(timeout=60)
        for part in self.batch.charges:
            part.take(a_row(), Order(id="", task=""), definition)
        self.batch.hand_over()
        self.parts: list[Part] = self.batch.charges

    def wait(self, seconds: float) -> list[int]:
        """Return the signals that come in that time, as the loop has them sent."""
        self.now += seconds
        self.sent.clear()
        for part in self.parts:
            part.advance_stop(1.0)
        return self.sent


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_one_is_asked_to_end_and_the_runner_is_ended_when_all_are(scene: Scene) -> None:
    first, second, third = scene.parts
    first.begin_stop(Cause.CANCELLED, 1.0)
    second.give_up()
    assert [part.page.cancel_requested for part in scene.parts] == [True, True, False]
    assert scene.wait(10) == []
    assert [part.next_moment is None for part in scene.parts] == [True, False, False]
    third.begin_stop(Cause.CANCELLED, 1.0)
    assert scene.wait(0.5) == []
    assert third.next_moment == first.next_moment == scene.now + 0.5
    assert scene.wait(0.5) == [signal.SIGTERM, signal.SIGCONT]
    assert scene.wait(1) == [signal.SIGKILL]


def test_a_timeout_ends_all_at_once(scene: Scene) -> None:
    scene.parts[0].begin_stop(Cause.CANCELLED, 1.0)
    scene.now += 60
    assert [part.is_late for part in scene.parts] == [True] * 3
    for part in scene.parts:
        part.begin_stop(Cause.TIMEOUT, 1.0)
    assert scene.wait(0) == [signal.SIGTERM, signal.SIGCONT]
    assert [part.stop.cause for part in scene.parts if part.stop] == [Cause.CANCELLED, Cause.TIMEOUT, Cause.TIMEOUT]


def test_a_runner_whose_rows_are_all_of_others_is_killed_at_once(scene: Scene) -> None:
    scene.parts[0].begin_stop(Cause.CANCELLED, 1.0)
    for part in scene.parts:
        assert scene.sent == []
        part.give_up()
    assert scene.sent == [signal.SIGKILL]


def test_what_is_said_before_the_batch_has_begun_is_of_all(scene: Scene) -> None:
    runner = scene.batch.runner
    assert Runner.addressed(runner, {"word": "error"}) == scene.parts
    assert Runner.addressed(runner, {"word": "error", "number": 2}) == [scene.parts[1]]
    assert Runner.addressed(runner, {"word": "error", "number": 4}) == []


def test_who_is_alone_with_its_runner_may_pause(scene: Scene) -> None:
    first, *others = scene.parts
    for other in others:
        assert not first.may_pause
        other.give_up()
    assert first.may_pause


def test_each_has_its_share_of_the_processor_time(scene: Scene) -> None:
    exit = Exit(exit_code=0, signal=None, cpu_seconds=6.0, peak_memory=5)
    assert [part.share_of(exit) for part in scene.parts] == [replace(exit, cpu_seconds=2.0)] * 3
    assert not scene.parts[0].may_pause


def test_a_file_that_is_refused_leaves_nothing_open(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refuse(fd: int, number: int) -> Page:
        raise OSError("no memory")

    monkeypatch.setattr(Page, "from_descriptor", refuse)
    with pytest.raises(OSError, match="no memory"):
        Batch(scene.batch.runner, 3, "batch")
    assert len(os.listdir("/proc/self/fd")) == before


def a_due(task: str = YearsTask.name, **values: Any) -> Due:
    row = a_row(task=task, **{"queue": "default", **values})
    return Due._make(getattr(row, name) for name in Due._fields)


class Queue:
    """What is due in a queue, in the place of the store."""

    def __init__(self, rows: list[Due]) -> None:
        self.rows = rows
        self.asked: list[int] = []

    def due_in(self, queue: str, tasks: Sequence[str], places: int) -> list[Due]:
        self.asked.append(places)
        return [row for row in self.rows if row.queue == queue and row.task in tasks][:places]


def test_rows_are_joined_by_those_behind_them() -> None:
    initiated, other = a_due(queue=None), a_due("another")
    spawned = a_due(start_method=StartMethod.SPAWN)
    years = [a_due() for _ in range(8)]
    queue: Any = Queue([*years[:4], spawned, *years[4:]])
    found = [initiated, other, *years[:2]]
    together = Rooms(queue).together
    assert together(found, 4) == [[initiated], [other], years[:3], [years[3], years[4]]]
    assert queue.asked == [6]
    assert together(found, 1) == [[initiated], [other], years[:3]]
    assert together([*years[:3], spawned], 9)[3:] == [[spawned]]
    assert together(found, 0) == together(found, 1)


def test_rows_are_joined_under_the_limits_where_they_were_found() -> None:
    store: Any = SimpleNamespace(due_in=lambda *given, limit_name="": [a_due()] if limit_name == "a" else [])
    rooms = Rooms(store)
    rooms._rooms = {name: Room(places=1, opens_in=None) for name in ("a", *(f"b{n:03}" for n in range(MOST_LINES)))}
    found = [rooms.due_in("default", [YearsTask.name], 1) for _ in range(2)]
    assert [len(rows) for rows in found] == [1, 1]


def test_where_no_memory_file_can_be_had_a_row_is_run_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, pages: int) -> int:
        raise OSError("memory files are forbidden")

    monkeypatch.setattr("forktask.supervisor.batch.memory_file", refuse)
    runner: Any = SimpleNamespace(pid=1, identity=RUNNER, page=None, output=None)
    fleet: Any = SimpleNamespace(learnt=0, take_spare=lambda: runner, preloaded=SimpleNamespace(can_fork=True))
    seating = Seating(SimpleNamespace(start_method=StartMethod.FORKSERVER, max_running=1), fleet, a_supervisor().id)  # type: ignore[arg-type]
    (charge,) = seating._charges(Order(id="", task=YearsTask.name), 3, 1)
    assert charge.runner is runner
