"""How many tasks a worker runs at once: more while rows wait, fewer when it is calm."""

from __future__ import annotations

import pytest

from forktask import clock
from forktask.supervisor.scaling import CALM, INTERVAL, Scale


class Moment:
    """A clock that tests move."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    moment = Moment()
    monkeypatch.setattr(clock, "monotonic", moment)
    return moment


def wait(scale: Scale, moment: Moment, *, seconds: float, running: int, more: bool) -> list[int]:
    """Let time pass, seen twice a second; return the numbers that follow each other."""
    found = [scale.now]
    for _ in range(round(2 * seconds)):
        moment.now += 0.5
        if scale.see(running=min(running, scale.now), more=more):
            found.append(scale.now)
    return found


def test_it_doubles_while_rows_wait_and_never_goes_beyond(moment: Moment) -> None:
    scale = Scale(1, 6)
    assert wait(scale, moment, seconds=9, running=9, more=True) == [1, 2, 4, 6]


def test_a_short_burst_changes_nothing(moment: Moment) -> None:
    scale = Scale(1, 6)
    scale.see(running=1, more=True)
    moment.now += INTERVAL / 2
    scale.see(running=1, more=False)
    moment.now += INTERVAL
    assert not scale.see(running=1, more=True)
    assert scale.now == 1


def test_what_waits_for_other_reasons_changes_nothing(moment: Moment) -> None:
    """As for a place on this host, or because all queues are held up."""
    assert wait(Scale(2, 6), moment, seconds=9, running=1, more=True) == [2]


def test_it_comes_down_to_what_is_needed_after_a_calm(moment: Moment) -> None:
    scale = Scale(1, 8)
    wait(scale, moment, seconds=9, running=9, more=True)
    assert wait(scale, moment, seconds=CALM - 1, running=3, more=False) == [8]
    assert wait(scale, moment, seconds=2, running=3, more=False) == [8, 3]
    assert wait(scale, moment, seconds=CALM + 1, running=0, more=False) == [3, 1]


def test_one_number_never_changes(moment: Moment) -> None:
    scale = Scale(4, 4)
    assert wait(scale, moment, seconds=20, running=9, more=True) == [4]
    assert wait(scale, moment, seconds=20, running=0, more=False) == [4]
