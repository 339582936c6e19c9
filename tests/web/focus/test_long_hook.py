"""A completion hook that runs longer than anybody waits for one that was killed."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest

from forktask import State, TaskStatus
from forktask.rows import new_id
from forktask.store import Store
from forktask.web import completion
from forktask.web.visitor import notice
from tests.waiting import wait_until
from tests.web.focus.site import Site, mine


def test_it_is_called_once_all_the_same(site: Site, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "PATIENCE", 0.5)
    name = f"{site.hook.__module__}.{site.hook.__qualname__}"
    meanwhile: list[str] = []

    def heard_of(status: TaskStatus) -> datetime:
        return store.begin_completion(status.id, name, new_id(), patience=3600).called_at

    def work_long(status: TaskStatus) -> None:
        begun = heard_of(status)
        wait_until(lambda: heard_of(status) > begun + timedelta(seconds=0.5), what="signs of life for long enough")
        meanwhile.append(site.pay(status.id, Who="Ada").headers["Location"])

    site.options |= {"on_complete": site.hook}
    site.work = work_long
    status = mine(store, state=State.COMPLETED)
    assert site.pay(status, Who="Ada").headers["Location"] == "/hook"
    assert site.paid == [status]
    assert [url.startswith("/forktask/focus/") for url in meanwhile] == [True]


def test_what_says_so_steps_aside_where_a_task_is_forked_and_goes_on_after(site: Site, store: Store) -> None:
    found: list[int] = []
    before = threading.active_count()

    def fork(_: TaskStatus) -> None:
        origin = notice("any", None)
        assert origin is not None
        found.append(threading.active_count() - before)
        with origin.alone():
            found.append(threading.active_count() - before)
        found.append(threading.active_count() - before)

    site.options |= {"on_complete": site.hook}
    site.work = fork
    site.pay(mine(store, state=State.COMPLETED), Who="Ada")
    assert [*found, threading.active_count() - before] == [1, 0, 1, 0]
