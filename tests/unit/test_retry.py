"""When an attempt is run again, and after how long."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from forktask.errors import TaskError
from forktask.retry import MEMORY_ATTEMPTS, NO_RETRY, Retry
from forktask.states import Cause


@pytest.mark.parametrize(
    ("cause", "again"),
    [
        (Cause.EXIT, True),
        (Cause.SIGNAL, True),
        (Cause.OUT_OF_MEMORY, True),
        (Cause.TIMEOUT, False),
        (Cause.CANCELLED, False),
        (Cause.INTERRUPTED, False),
        (Cause.LAUNCH, False),
        (Cause.SUPERVISOR_GONE, False),
    ],
)
def test_the_plain_rule_is_the_one_of_the_table(cause: Cause, again: bool) -> None:
    assert Retry().applies(cause) is again


def test_every_cause_is_decided() -> None:
    assert all(Retry().applies(cause, ValueError("odd")) in (True, False) for cause in Cause)


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.SUPERVISOR_GONE])
def test_a_task_may_say_that_it_is_run_again(cause: Cause) -> None:
    assert Retry(always=(cause,)).applies(cause)
    assert Retry(on=(cause,)).applies(cause)


@pytest.mark.parametrize("cause", [Cause.CANCELLED, Cause.LAUNCH])
def test_what_was_cancelled_or_never_began_is_not_run_again_whatever_the_rule(cause: Cause) -> None:
    assert not Retry(always=(cause,), on=(cause, Exception)).applies(cause, ValueError("odd"))


@pytest.mark.parametrize(
    ("rule", "error", "again"),
    [
        (Retry(), ValueError("odd"), True),
        (Retry(), KeyboardInterrupt(), False),
        (Retry(on=(OSError,)), ConnectionError("away"), True),
        (Retry(on=(OSError,)), ValueError("odd"), False),
        (Retry(on=(OSError,), always=(ValueError,)), ValueError("odd"), True),
        (Retry(never=(TaskError,)), TaskError("no such file"), False),
        (Retry(never=(OSError,), always=(ConnectionError,)), ConnectionError("away"), False),
        (Retry(on=()), ValueError("odd"), False),
        (Retry(on=(Cause.EXCEPTION,)), ValueError("odd"), True),
        (Retry(never=(Cause.EXCEPTION,)), ValueError("odd"), False),
        (Retry(), None, False),
    ],
)
def test_exceptions_are_matched_by_class(rule: Retry, error: BaseException | None, again: bool) -> None:
    assert rule.applies(Cause.EXCEPTION, error) is again


def test_never_holds_for_causes_too() -> None:
    assert not Retry(never=(Cause.SIGNAL,)).applies(Cause.SIGNAL)


def test_the_backoff_grows_by_its_factor_to_its_ceiling() -> None:
    rule = Retry(backoff=2, factor=3, ceiling=50, jitter=0)
    assert [rule.delay(attempt) for attempt in range(1, 6)] == [2, 6, 18, 50, 50]


@pytest.mark.parametrize("rule", [Retry(jitter=0), Retry(jitter=0, backoff=1.5, factor=10)])
def test_the_backoff_of_a_late_attempt_is_the_ceiling(rule: Retry) -> None:
    assert rule.delay(5000) == 300


def test_no_backoff_is_no_wait() -> None:
    assert Retry(backoff=0).delay(1) == Retry(backoff=0).delay(5000) == 0


@pytest.mark.parametrize("jitter", [0.1, 0.5, 1.0])
def test_jitter_takes_a_random_share_away(jitter: float) -> None:
    rule = Retry(backoff=100, jitter=jitter)
    delays = [rule.delay(1) for _ in range(500)]
    assert all(100 * (1 - jitter) <= delay <= 100 for delay in delays)
    assert len(set(delays)) > 400
    assert max(delays) - min(delays) > 50 * jitter


def test_without_a_rule_there_is_one_attempt() -> None:
    assert NO_RETRY.attempts == 1
    assert Retry().attempts == 3


def test_out_of_memory_may_happen_twice() -> None:
    assert MEMORY_ATTEMPTS == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"attempts": -1},
        {"backoff": -1},
        {"backoff": math.nan},
        {"backoff": math.inf},
        {"ceiling": -1},
        {"ceiling": math.inf},
        {"factor": 0.5},
        {"factor": math.nan},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": math.nan},
    ],
)
def test_numbers_that_make_no_sense_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)


@pytest.mark.parametrize("name", ["on", "never", "always"])
@pytest.mark.parametrize(
    "rules", [ValueError, [ValueError], Cause.TIMEOUT, ("timeout",), (ValueError("x"),), (int,), None]
)
def test_rules_that_are_none_are_refused_at_once(name: str, rules: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} "):
        Retry(**{name: rules})


def test_a_rule_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Retry().attempts = 5  # type: ignore[misc]
