"""The time left, over simulated runs: it holds the truth, says something, and does not jump."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest

from forktask.estimate import STEPS, Pace, Range, by_history, by_pace, rounded, share_of, together

RUNS = 30
MOMENTS = 400
"""Of each run, at which it works and somebody looks."""

Dice = random.Random


def steady(dice: Dice) -> list[float]:
    return [dice.gauss(1, 0.15) for _ in range(MOMENTS)]


def slowing(dice: Dice) -> list[float]:
    """In the end it has a half to a quarter of its first pace."""
    factor = dice.uniform(1, 3)
    return [dice.gauss(1, 0.1) / (1 + factor * moment / MOMENTS) for moment in range(MOMENTS)]


def stalling(dice: Dice) -> list[float]:
    """Once or twice it stands still, for a twentieth to a fifth of its time."""
    paces = [dice.gauss(1, 0.1) for _ in range(MOMENTS)]
    for _ in range(dice.choice([1, 1, 2])):
        length = round(dice.uniform(0.05, 0.2) * MOMENTS)
        begin = dice.randrange(MOMENTS - length)
        paces[begin : begin + length] = [0.0] * length
    return paces


def bursts(dice: Dice) -> list[float]:
    """Every few percent of its time another pace: up to thirty times as fast."""
    paces: list[float] = []
    while len(paces) < MOMENTS:
        paces += [dice.choice([0.1, 0.5, 1, 3])] * round(dice.uniform(0.01, 0.06) * MOMENTS)
    return paces[:MOMENTS]


KINDS: dict[str, Callable[[Dice], list[float]]] = {
    function.__name__: function for function in (steady, slowing, stalling, bursts)
}


@dataclass
class Looks:
    """What a person saw who looked at runs all the time."""

    number: int = 0
    shown: int = 0
    held: int = 0
    widths: list[float] = field(default_factory=list)
    jumps: int = 0


def watch(kind: str, seed: int, with_history: bool, looks: Looks) -> None:
    """Look at one run from its begin to its end."""
    dice = random.Random(f"{kind} {seed}")
    duration = math.exp(dice.uniform(math.log(15), math.log(3600)))
    paces = [max(0.0, pace) for pace in KINDS[kind](dice)]
    spread = dice.choice([0.1, 0.3])
    earlier = [duration * math.exp(dice.gauss(0, spread)) for _ in range(dice.choice([1, 3, 10, 20]))]
    pace, reported, worked = Pace(), (0.0, 0.0, pace_of := Pace().range()), 0.0
    previous: Range | None = None
    for moment, step in enumerate(paces[:-1], 1):
        worked += step / sum(paces)
        time = duration * moment / MOMENTS
        if (share := math.floor(worked * 1000) / 1000) != reported[1]:
            pace.add(time, share)
            reported = (time, share, pace_of := pace.range())
        since = time - reported[0]
        own = by_pace(reported[1], reported[0], since, pace_of)
        found = together(own, by_history(earlier, time) if with_history else None, reported[1])
        looks.number += 1
        if found is not None:
            looks.shown += 1
            looks.held += found[0] <= duration - time <= found[1]
            looks.widths.append(found[1] / max(found[0], 5))
            looks.jumps += previous is not None and is_jump(previous, found)
        previous = found


def is_jump(before: Range, after: Range) -> bool:
    """Return True if the longest time changed by more than two steps from one look to the next."""
    steps = [STEPS.index(int(high)) for _, high in (before, after)]
    return abs(steps[1] - steps[0]) > 2


@cache
def watched(kind: str, with_history: bool) -> Looks:
    looks = Looks()
    for seed in range(RUNS):
        watch(kind, seed, with_history, looks)
    return looks


@pytest.mark.parametrize("with_history", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_range_holds_the_truth_in_four_of_five_looks_and_says_something(kind: str, with_history: bool) -> None:
    looks = watched(kind, with_history)
    assert looks.held / looks.shown >= 0.8
    assert looks.shown / looks.number >= (0.9 if kind in ("steady", "slowing") else 0.6)
    assert sorted(looks.widths)[len(looks.widths) // 2] <= (2.5 if kind == "steady" else 4)
    assert looks.jumps / looks.shown < 0.01


def test_nothing_is_said_of_a_run_without_pace_and_history() -> None:
    assert together(None, None, 0.5) is None


def test_nothing_is_said_when_the_run_stands_still() -> None:
    pace = Pace()
    for second in range(1, 21):
        pace.add(second, second / 100)
    assert by_pace(0.2, 20, 1, pace.range()) is not None
    assert by_pace(0.2, 20, 15, pace.range()) is None


def test_earlier_runs_speak_before_the_first_percent() -> None:
    found = together(None, by_history([58, 61, 60, 63], 2.0), 0.0)
    assert found is not None
    assert found[0] <= 58 <= found[1] <= 90


def test_a_run_that_takes_longer_than_all_earlier_ones_has_no_history() -> None:
    assert by_history([60, 61], 70) is None
    assert by_history([], 1) is None


def test_work_that_begins_anew_is_measured_anew() -> None:
    pace = Pace()
    for second in range(1, 11):
        pace.add(second, second / 10)
    pace.add(11, 0.0)
    assert pace.range() is None
    for second in range(12, 40):
        pace.add(second, (second - 11) / 100)
    found = pace.range()
    assert found is not None
    assert found[0] < 0.01 < found[1] < 0.02


@pytest.mark.parametrize("seed", range(40))
def test_no_rounding_leads_beyond_the_last_report(seed: int) -> None:
    dice = Dice(seed)
    pace, time, share = Pace(), 0.0, 0.5
    pace.add(dice.random(), 0.5)
    pace.add(time := 1 + dice.random(), share := 0.0)  # it begins anew
    for _ in range(100):
        time, share = time + dice.random() * 0.3, share + 0.009 * dice.random()
        pace.add(time, share)
        pace.range()


def test_a_share_is_known_only_where_a_total_is() -> None:
    assert share_of(40.0, None, None) == 0.4
    assert share_of(40.0, 4, 10) == 0.4
    assert share_of(40.0, 4, None) is None
    assert share_of(None, None, None) is None


@pytest.mark.parametrize(
    ("found", "shown"),
    [((0.4, 3), (0, 5)), ((70, 170), (60, 180)), ((3000, 3100), (3000, 3600)), ((80_000, 200_000), (72_000, 259_200))],
)
def test_ranges_are_rounded_outwards(found: Range, shown: Range) -> None:
    assert rounded(found) == shown
