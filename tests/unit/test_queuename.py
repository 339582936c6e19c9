"""What a queue may be called is the same wherever it is said."""

from __future__ import annotations

import pytest

from forktask.errors import ScheduleError, SettingsError
from forktask.queuename import is_queue
from forktask.schedule import run_options
from tests import zoo


@pytest.mark.parametrize("name", ["a", "q" * 100, "a b", "Bücher", "a*", "reports.daily"])
def test_a_name_of_a_queue(name: str) -> None:
    assert is_queue(name)
    assert zoo.nothing.using(queue=name).options["queue"] == name
    assert run_options({"queue": name})["queue"] == name


@pytest.mark.parametrize("name", ["", "q" * 101, "a:b", "*", "a\nb", "a\0", "\ud800", 5])
def test_no_name_of_a_queue(name: str) -> None:
    with pytest.raises(SettingsError, match=r"queue is .*(printable characters without a colon|it is text)"):
        zoo.nothing.using(queue=name)
    with pytest.raises(ScheduleError, match="is no queue; it has 1 to 100 printable"):
        run_options({"queue": name})
