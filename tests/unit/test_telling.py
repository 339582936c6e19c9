"""Receivers that are called where an end was noticed."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from forktask import hooks, signals
from forktask.rows import new_id
from forktask.start.telling import Teller
from forktask.states import Cause, State


def test_threads_that_tell_at_once_leave_standard_output_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before, seen = sys.stdout, []
    inside, may_end = ([threading.Event(), threading.Event()] for _ in range(2))

    def tell(end: Mapping[str, Any]) -> None:
        seen.append(sys.stdout)
        inside[end["attempt"]].set()
        may_end[end["attempt"]].wait(20)

    monkeypatch.setattr(hooks, "tell_end", tell)
    teller = Teller(contextlib.nullcontext)
    threads = [
        threading.Thread(target=teller, args=("task", new_id(), number, State.LOST, Cause.SUPERVISOR_GONE))
        for number in range(2)
    ]
    with signals.task_failed.connected_to(lambda sender, **told: None):
        for number, thread in enumerate(threads):
            thread.start()
            assert inside[number].wait(20)
        for number, thread in enumerate(threads):  # the first one ends first
            may_end[number].set()
            thread.join()
    try:
        assert [*seen, sys.stdout] == [before] * 3
    finally:
        sys.stdout = before
