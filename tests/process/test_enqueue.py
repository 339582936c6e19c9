"""Left to a queue: many at once, small ones at once, for a worker only, gone when done; and by a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from pydantic import BaseModel

from forktask import (
    Cause,
    LiveStatus,
    Retry,
    RetryLater,
    SettingsError,
    State,
    StatusNotFoundError,
    Task,
    TaskError,
    TaskStatus,
    registry,
    task,
)
from forktask import runtime as runtimes
from forktask.call import Call
from forktask.errors import DuplicateError, EnqueueError
from forktask.runtime import Runtime
from tests import zoo
from tests.runtimes import MakeRuntime, ended
from tests.store.examples import a_supervisor


class YearTask(Task):
    """Settings as a model."""

    class Settings(BaseModel):
        """Which year."""

        year: int
        month: int = 1

    def execute(self, status: LiveStatus) -> int:
        return int(status.settings.year)


@task(inline_below=10, size=lambda settings: settings["rows"], retry=Retry(attempts=2, backoff=60, jitter=0))
def small_or_large(status: LiveStatus) -> str:
    if status.settings.get("later") and status.attempt == 1:
        raise RetryLater("+1 min")
    return "done"


@task(inline_below=10, size=lambda settings: settings["rows"])
def small_with_one_attempt(status: LiveStatus) -> None:
    raise RetryLater("+1 min", counts=False)


class LettersTask(Task):
    """Writes many letters at once."""

    batch = 50

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> list[Any]:
        return [TaskError("No address.") if one.settings["to"] is None else one.settings["to"] for one in statuses]


def test_many_are_run_each_with_its_settings_and_owner(runtime_each: Runtime) -> None:
    statuses = zoo.echo.using(priority=80, title="Echo").enqueue_many(({"n": n} for n in range(20)), owner="7")
    assert [status.settings for status in statuses] == [{"n": n} for n in range(20)]
    assert {(status.owner, status.priority, status.title, status.queue) for status in statuses} == {
        ("7", 80, "Echo", "default")
    }
    assert [ended(status).result for status in statuses] == [{"n": n} for n in range(20)]
    assert zoo.echo.enqueue_many([]) == []


def test_of_many_the_first_wrong_one_is_named_and_none_is_written(own_runtime: Runtime) -> None:
    with pytest.raises(SettingsError, match=r"many\[1\]\['a'\] is a builtins\.set"):
        zoo.echo.enqueue_many([{"a": 1}, {"a": {1}}])
    with pytest.raises(SettingsError, match=r"many\[2\]\['year'\] is refused"):
        YearTask.enqueue_many([{"year": 2030}, YearTask.Settings(year=2031), {"year": "soon"}])
    assert TaskStatus.find() == []
    later = YearTask.using(run_after="+1 h", unique="settings")
    found = later.enqueue_many([{"year": 2030}, YearTask.Settings(year=2031), {"year": 2030, "month": 1}])
    assert [one.settings for one in found] == [{"year": year, "month": 1} for year in (2030, 2031, 2030)]
    assert found[0].id == found[2].id
    with pytest.raises(EnqueueError, match="has private arguments"):
        zoo.PrivateTask.enqueue_many([{}])


@pytest.mark.parametrize(
    ("many", "said"),
    [("ab", "many is a str"), ({"a": 1}, "many is a dict"), (b"ab", "many is a bytes"), (5, "many is a int")],
)
def test_one_thing_is_not_taken_apart_as_many(own_runtime: Runtime, many: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=f"{said}; it is a list, or anything else that yields"):
        zoo.echo.enqueue_many(many)
    assert TaskStatus.find() == []


@pytest.mark.parametrize("on_conflict", ["refuse", "replace"])
def test_of_many_two_that_are_one_are_refused_unless_they_join(own_runtime_each: Runtime, on_conflict: Any) -> None:
    task = zoo.nothing.using(unique="settings", run_after="+1 h")
    strict = task.using(on_conflict=on_conflict)
    with pytest.raises(SettingsError, match=r"many\[3\] is the same as many\[1\], as the task is unique"):
        strict.enqueue_many([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 2}])
    with pytest.raises(SettingsError, match=r"many\[1\] is the same as many\[0\]"):
        strict.using(unique="one").enqueue_many([{"n": 1}, {"n": 2}])
    assert TaskStatus.find() == []
    first, second, third = task.enqueue_many([{"n": 1}, {"n": 2}, {"n": 1}])
    assert (first.id == third.id, first.id == second.id) == (True, False)
    assert len(strict.enqueue_many([{"n": 3}, {"n": 4}])) == 2


class AForm:
    """Where an order came from that carried the token of a form."""

    owner = None
    visitor = None
    once_key = "0f" * 32
    once_content = "what was in it"
    alone = staticmethod(nullcontext)

    def __init__(self) -> None:
        self.joined: list[str | None] = []

    def join(self, once_content: str | None) -> None:
        """Note what the first one ordered."""
        self.joined.append(once_content)


def test_a_form_that_comes_again_finds_all_that_it_ordered(make_runtime_each: MakeRuntime) -> None:
    form = AForm()
    settings = make_runtime_each(start_method="inline").settings
    runtime = Runtime(settings, notice=lambda task, owner: form)
    call = Call(definition=registry.get(zoo.nothing.name), settings=None, run_after=60.0)
    first, second = (runtime.enqueue(call, [{"n": 1}, {"n": 2}, {"n": 3}]) for _ in range(2))
    runtime.close()
    assert [row.settings for row in first] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [row.id for row in second] == [row.id for row in first]
    assert (len(TaskStatus.find()), form.joined) == (3, ["what was in it"])


def test_what_a_task_orders_is_its_child(own_runtime_both: Runtime) -> None:
    status = ended(zoo.order_others.initiate({"url": own_runtime_both.store.url}))
    assert status.state is State.COMPLETED, status.attempts()
    children = [TaskStatus.get(one) for one in status.result]
    assert [one.parent_id for one in children] == [status.id] * 4
    assert status.parent_id is None


def test_after_an_inline_task_nothing_is_its_child(make_runtime: MakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = make_runtime(start_method="inline")
    monkeypatch.setattr("forktask.runtime._resolvers", [*runtimes._resolvers])  # the task adds its own
    status = zoo.order_others.initiate({"url": runtime.store.url})
    assert {TaskStatus.get(one).parent_id for one in status.result} == {status.id}
    assert zoo.nothing.initiate().parent_id is None


@pytest.mark.parametrize("verb", ["initiate", "enqueue"])
def test_small_ones_run_here_and_large_ones_in_the_background(runtime_each: Runtime, verb: str) -> None:
    small = getattr(small_or_large, verb)({"rows": 9}, owner="7")
    assert (small.state, small.result, small.owner, small.row.bound) == (State.COMPLETED, "done", "7", 0)
    order = getattr(zoo.echo.using(inline_below=5), verb)
    with pytest.raises(EnqueueError, match=r"has inline_below, but no size\(\)"):
        order({"rows": 4})
    large = getattr(small_or_large, verb)({"rows": 10})
    assert ended(large).result == "done"
    assert large.attempts()[0].pid != os.getpid() == small.attempts()[0].pid
    assert getattr(small_or_large.using(inline_below=11), verb)({"rows": 10}).state is State.COMPLETED


def test_a_small_one_for_later_and_one_that_says_how_it_starts_are_not_run_here(own_runtime: Runtime) -> None:
    assert small_or_large.using(run_after=60).enqueue({"rows": 1}).state is State.QUEUED
    (status,) = small_or_large.using(run_after=60).enqueue_many([{"rows": 1}])
    assert status.state is State.QUEUED
    forked = small_or_large.using(start_method="forkserver").initiate({"rows": 1})
    assert ended(forked).attempts()[0].pid != os.getpid()


def test_the_next_attempt_of_a_small_one_is_left_to_the_background(runtime: Runtime) -> None:
    status = small_or_large.initiate({"rows": 1, "later": True})
    assert (status.state, status.attempt, status.row.bound) == (State.QUEUED, 2, 0)
    assert status.run_after is not None
    assert 55 < (status.run_after - status.attempts()[0].finished_at).total_seconds() < 65
    status.cancel()


def test_a_small_one_without_attempts_left_may_ask_for_one_that_does_not_count(own_runtime: Runtime) -> None:
    status = small_with_one_attempt.initiate({"rows": 1})
    assert (status.state, status.attempt, status.row.max_attempts) == (State.QUEUED, 2, 2)
    status.cancel()


def test_a_task_that_needs_a_worker_fails_where_there_is_none(own_runtime_each: Runtime) -> None:
    needy = zoo.nothing.using(require_worker=True, queue="reports")
    status = needy.enqueue()
    assert (status.state, status.cause) == (State.FAILED, Cause.LAUNCH)
    assert (status.error, bool(status.reference)) == ("No worker serves the queue reports.", True)
    assert status.finished_at is not None
    assert {one.error for one in needy.enqueue_many([{}, {}])} == {status.error}
    own_runtime_each.store.register(a_supervisor(kind="worker", queues=["reports"]))
    assert needy.enqueue().state is State.QUEUED


def test_what_fails_for_want_of_a_worker_replaces_nothing(make_runtime_each: MakeRuntime) -> None:
    make_runtime_each(start_method="inline")
    one = zoo.nothing.using(unique="one", queue="reports")
    needy = one.using(require_worker=True)
    first = one.enqueue()
    for failed in (
        needy.using(on_conflict="replace").enqueue(),
        *needy.using(on_conflict="replace").enqueue_many([{}]),
    ):
        assert (failed.state, first.refresh().state) == (State.FAILED, State.QUEUED)
    assert [needy.enqueue().id, *(status.id for status in needy.enqueue_many([{}, {}]))] == [first.id] * 3
    for order in (
        needy.using(on_conflict="refuse").enqueue,
        lambda: needy.using(on_conflict="refuse").enqueue_many([{}]),
    ):
        with pytest.raises(DuplicateError, match=f"status {first.id} like this one is queued"):
            order()
    first.cancel()
    again, same = needy.enqueue_many([{}, {}])
    assert (again.state, again.id) == (State.FAILED, same.id)


def test_what_is_to_go_is_gone_when_it_has_completed(runtime_each: Runtime) -> None:
    status = ended(zoo.echo.using(delete_on_completion=True).initiate({"a": 1}))
    assert status.state is State.COMPLETED
    assert status.refresh().percent == 100
    with pytest.raises(StatusNotFoundError):
        TaskStatus.get(status.id)
    assert (status.attempts(), status.log()) == ([], [])
    failed = ended(zoo.fail.using(delete_on_completion=True).initiate())
    assert TaskStatus.get(failed.id).state is State.FAILED


def test_what_is_to_go_and_runs_inline_is_given_back_as_completed(make_runtime: MakeRuntime) -> None:
    make_runtime(start_method="inline")
    status = zoo.echo.using(delete_on_completion=True).initiate({"a": 1})
    assert (status.state, status.percent) == (State.COMPLETED, 100)
    assert TaskStatus.find() == []


def test_a_batch_task_started_alone_is_a_batch_of_one(make_runtime: MakeRuntime) -> None:
    make_runtime(start_method="inline")
    assert LettersTask.initiate({"to": "Ada"}).result == "Ada"
    status = LettersTask.initiate({"to": None})
    assert (status.state, status.error) == (State.FAILED, "No address.")
    definition = registry.get(LettersTask.name)
    assert (definition.batch, definition.execute_batch is not None) == (50, True)
    assert registry.get(zoo.nothing.name).execute_batch is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"batch": 50, "execute": lambda self, status: None}, "needs both: batch, more than 1, and execute_batch"),
        ({"execute_batch": lambda self, statuses: None}, "needs both: batch, more than 1, and execute_batch"),
        ({"batch": 0, "execute": lambda self, status: None}, "batch is 0; it is a whole number, 1 to 1000"),
        ({"inline_below": 5, "execute": lambda self, status: None}, r"inline_below, but no size\(settings\)"),
        (
            {
                "batch": 2,
                "execute_batch": lambda self, statuses: None,
                "get_private_arguments": classmethod(lambda cls: {}),
            },
            "shell or private arguments, which are for a process of its own alone",
        ),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        type("WrongTask", (Task,), body)
