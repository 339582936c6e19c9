"""What is said per call: options of `using`, the owner, and what `find` is asked for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from forktask import SettingsError, State, TaskStatus, clock
from forktask.runtime import Runtime
from tests import zoo
from tests.runtimes import ended


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"colour": "red"}, TypeError, "does not take colour; it takes title"),
        ({"priority": 101}, ValueError, "priority is 101; it is a whole number, 0 to 100"),
        ({"priority": 1.5}, ValueError, r"priority is 1\.5; it is a whole number"),
        ({"priority": "9"}, ValueError, "priority is '9'; it is a whole number"),
        ({"start_method": "thread"}, ValueError, "'thread'"),
        ({"run_after": "soon"}, ValueError, "run_after='soon' is no time; it is an aware datetime"),
        ({"metadata": {"a": {1, 2}}}, SettingsError, r"metadata\['a'\]"),
        ({"title": 5}, SettingsError, "title is 5; it is text"),
        ({"queue": 5}, SettingsError, "queue is 5; it is text"),
        ({"public": "x"}, SettingsError, "public is 'x'; it is True or False"),
        ({"public": None}, SettingsError, "public is None; it is True or False"),
        ({"on_progress": "print"}, SettingsError, "on_progress is 'print'; it is a function"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        zoo.nothing.using(**options)


def test_an_owner_or_title_that_is_no_text_is_refused_before_a_row_exists(own_runtime_each: Runtime) -> None:
    with pytest.raises(SettingsError, match="owner is 5; it is text"):
        zoo.nothing.initiate(owner=5)  # type: ignore[arg-type]  # people do
    with pytest.raises(SettingsError, match="owner has 256 characters; at most 255"):
        zoo.nothing.initiate(owner="x" * 256)
    with pytest.raises(SettingsError, match="title is 5; it is text"):
        zoo.nothing.using(title=5).initiate()  # type: ignore[arg-type]
    assert TaskStatus.find() == []


def test_options_and_owner_stand_in_the_row(runtime_each: Runtime) -> None:
    status = zoo.echo.using(title="Mine", priority=70, metadata={"a": [1]}).initiate({"b": 2}, owner="7")
    row = ended(status).row
    assert (row.title, row.priority, row.metadata, row.owner, row.settings) == ("Mine", 70, {"a": [1]}, "7", {"b": 2})
    assert TaskStatus.get(status.id).row == row


@pytest.mark.parametrize("later", [30, 30.0, timedelta(seconds=30), "+30 s", "aware", "unix", "text"])
def test_enqueue_takes_a_time_or_how_long_from_now(own_runtime: Runtime, later: Any) -> None:
    at = clock.after(30)
    given: Any = {"aware": at, "unix": at.timestamp(), "text": at.isoformat()}.get(later, later)
    status = zoo.nothing.using(run_after=given, queue="slow").enqueue()
    assert status.run_after is not None
    assert 29 < (status.run_after - status.created_at).total_seconds() < 31
    assert (status.state, status.row.queue) == (State.QUEUED, "slow")
    status.cancel()


def test_a_time_without_zone_is_refused(own_runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        zoo.nothing.using(run_after=datetime(2030, 1, 1)).enqueue()  # noqa: DTZ001
    assert TaskStatus.find() == []


def test_statuses_are_found_by_state_task_and_owner(own_runtime: Runtime) -> None:
    done, failed = zoo.nothing.initiate(owner="7"), zoo.fail.initiate(owner="8")
    for status in (done, failed):
        ended(status)

    def found(**values: Any) -> list[Any]:
        return [status.id for status in TaskStatus.find(**values)]

    assert found() == [failed.id, done.id]
    assert found(state="failed") == found(state=State.FAILED) == found(state=["failed", "lost"]) == [failed.id]
    assert found(state=[State.COMPLETED, "failed"], limit=1) == [failed.id]
    assert found(task=zoo.nothing) == found(task="tests.zoo.nothing") == found(owner="7") == [done.id]
    last = TaskStatus.find_last(state="completed")
    assert last is not None
    assert last.id == done.id
    assert TaskStatus.find_last(owner="9") is None
    with pytest.raises(ValueError, match="'finished' is not a valid State"):
        TaskStatus.find(state="finished")
