"""The clock: aware UTC to store, which tests can move."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from forktask import clock


@pytest.fixture(autouse=True)
def true_time() -> Iterator[None]:
    yield
    clock.shift(0)


def test_now_is_aware_utc() -> None:
    before, now, after = datetime.now(UTC), clock.now(), datetime.now(UTC)
    assert before <= now <= after
    assert now.tzinfo is UTC


def test_after_is_so_many_seconds_from_now() -> None:
    before = clock.now()
    assert clock.after(90) - before >= timedelta(seconds=90)
    assert clock.after(90) - clock.now() <= timedelta(seconds=90)
    assert clock.after(-90) < before


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_tests_can_move_the_wall_clock_alone(seconds: float) -> None:
    wall, steady = clock.now(), clock.monotonic()
    clock.shift(seconds)
    assert (clock.now() - wall - timedelta(seconds=seconds)) < timedelta(seconds=600)
    assert (clock.now() - wall - timedelta(seconds=seconds)) >= timedelta(0)
    assert 0 <= clock.monotonic() - steady < 600
    clock.shift(0)
    assert abs(clock.now() - wall) < timedelta(seconds=600)


def test_waiting_takes_at_least_so_long() -> None:
    before = clock.monotonic()
    clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
