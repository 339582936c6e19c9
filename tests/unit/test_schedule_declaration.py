"""What is said wrongly of a recurring task is refused where it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from forktask import LiveStatus, SettingsError, Task, task
from forktask.errors import EnqueueError, ScheduleError
from forktask.schedule import declared
from forktask.schedule.declaration import forget

SOON = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_declarations() -> Iterator[None]:
    before = declared()
    yield
    for name in declared().keys() - before.keys():
        forget(name)


class CountedTask(Task):
    class Settings(BaseModel):
        limit: int = 3

    def execute(self, status: LiveStatus) -> None:
        return


class SecretTask(Task):
    @classmethod
    def get_private_arguments(cls) -> Mapping[str, Any]:
        return {"key": 1}

    def execute(self, status: LiveStatus) -> None:
        return


@task
def tidy(status: LiveStatus) -> None:
    """Clean up."""


def test_a_class_says_when_it_runs() -> None:
    made = CountedTask.every("10 minutes")
    assert declared()[made.name] is made
    assert made.name == f"{CountedTask.name} every 600 s"
    assert (made.task, made.every, made.settings, made.queue) == (CountedTask.name, 600, {"limit": 3}, "default")
    assert (made.missed, made.overlap, made.jitter, made.priority) == ("last", "skip", 0, 50)


def test_a_function_says_when_it_runs() -> None:
    made = tidy.cron("*/5 9-17 * * mon-fri", timezone="Europe/Berlin")
    assert made.name == f"{tidy.name} cron */5 9-17 * * mon-fri Europe/Berlin"
    assert (made.cron, made.timezone, made.every) == ("*/5 9-17 * * mon-fri", "Europe/Berlin", None)


def test_all_that_may_be_said() -> None:
    configured = CountedTask.using(queue="reports", priority=80, title="Count", public=True, metadata={"a": 1})
    made = configured.every(
        timedelta(hours=1),
        name="hourly",
        settings={"limit": 5},
        owner="bob",
        start=SOON,
        end=SOON + timedelta(days=1),
        jitter="5 min",
        missed="all",
        overlap="queue",
    )
    told = (made.queue, made.priority, made.title, made.public, made.metadata, made.owner, made.settings)
    assert told == ("reports", 80, "Count", 1, {"a": 1}, "bob", {"limit": 5})
    assert (made.start_at, made.end_at) == (SOON, SOON + timedelta(days=1))
    assert (made.name, made.jitter, made.missed, made.overlap) == ("hourly", 300, "all", "queue")


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(90, 90), (1.5, 1.5), ("1 h 30 min", 5400), ("+2 days", 172800), (timedelta(weeks=1), 604800)],
)
def test_forms_of_an_interval(interval: Any, expected: float) -> None:
    assert CountedTask.every(interval).every == expected


@pytest.mark.parametrize(
    "interval", [0, 0.5, -60, "10", "", "ten minutes", "5 parsecs", None, True, "3 h x", 1e12, SOON]
)
def test_an_interval_that_is_none_is_refused(interval: Any) -> None:
    with pytest.raises(ScheduleError, match="every="):
        CountedTask.every(interval)
    assert not [name for name in declared() if name.startswith(CountedTask.name)]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"start": datetime(2030, 1, 1)}, "start=.* time zone"),  # noqa: DTZ001
        ({"end": "tomorrow"}, "end='tomorrow'"),
        ({"start": SOON, "end": SOON}, "end=.* is not after start="),
        ({"jitter": 600}, "jitter is 600 s; .* less than the time between two runs, 600 s"),
        ({"jitter": -1}, "jitter=-1"),
        ({"missed": "some"}, "missed='some'; it is one of none, last, all"),
        ({"overlap": "wait"}, "overlap='wait'; it is one of skip, queue, parallel"),
        ({"missed": "all"}, "missed='all' and overlap='skip'"),
        ({"name": ""}, "name has 0 characters"),
        ({"name": "x" * 256}, "name="),
        ({"name": 5}, "name=5"),
        ({"owner": 7}, "owner=7"),
        ({"name": "a\0b"}, "name='a.x00b' is no text of one line"),
        ({"owner": "\udcff"}, "owner="),
        ({"timezone": "Europe/Berlin"}, "timezone= belongs to cron="),
        ({"until": SOON}, "does not take until; it takes name, settings"),
    ],
)
def test_what_is_wrong_is_named(rule: dict[str, Any], told: str) -> None:
    with pytest.raises(ScheduleError, match=told):
        CountedTask.every(600, **rule)


def test_jitter_is_shorter_than_the_shortest_time_between_two_runs() -> None:
    with pytest.raises(ScheduleError, match=r"jitter is 600 s; .*, 600 s"):
        CountedTask.cron("0,10 9 * * *", jitter="10 min")
    assert CountedTask.cron("0 9 * * *", jitter="10 min").jitter == 600


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"run_after": 60}, "does not take run_after from using"),
        ({"on_progress": print}, "does not take on_progress from using"),
        ({"start_method": "inline"}, "start_method=inline"),
        ({"start_method": "fork"}, "start_method=fork"),
    ],
)
def test_what_is_about_a_single_call_is_refused(options: Any, told: str) -> None:
    with pytest.raises(ScheduleError, match=told):
        CountedTask.using(**options).every(600)


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match=r"settings\['limit'\]"):
        CountedTask.every(600, settings={"limit": "many"})
    with pytest.raises(SettingsError, match="settings"):
        tidy.every(600, settings={"when": SOON})


def test_arguments_that_are_stored_nowhere_are_refused() -> None:
    with pytest.raises(EnqueueError, match="private arguments"):
        SecretTask.every(600)


def test_two_that_differ_need_two_names() -> None:
    CountedTask.every(600)
    CountedTask.every(600)  # as when a module is imported under two names
    with pytest.raises(ScheduleError, match=r"two recurring tasks are called .*; give each a name="):
        CountedTask.every(600, settings={"limit": 5})
    assert CountedTask.every(600, settings={"limit": 5}, name="five").settings == {"limit": 5}
