"""What a person reads, state by state."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from forktask import State, TaskStatus
from forktask.clock import now
from forktask.store import Store
from forktask.web.language import ENGLISH, Languages, number
from forktask.web.wording import Wording, clean, describe, in_line, time_left
from tests.web.rows import keep

SPACE = "\u202f"


@pytest.fixture
def words(app: Flask, store: Store) -> Any:
    """Return a function that keeps a row and says what a person reads some seconds later."""

    def read(after: float = 0, full: bool = False, **values: Any) -> Wording:
        moment = now()
        if "run_in" in values:
            values["run_after"] = moment + timedelta(seconds=values.pop("run_in"))
        if values.pop("cancelled", False):
            values["cancel_requested_at"] = moment
        with app.app_context():
            status = TaskStatus.get(keep(store, created_at=moment, **values))
            return describe(status, moment + timedelta(seconds=after), lambda: full)

    return read


@pytest.mark.parametrize(
    ("values", "headline"),
    [
        ({}, "Starting…"),
        ({"full": True}, "Starting…"),
        ({"queue": "mail"}, "Next in line"),
        ({"after": 60}, "Waiting to start"),
        ({"after": 60, "full": True}, "Waiting for a free place"),
        ({"run_in": 50}, "Starts in 50 s"),
        ({"run_in": 12, "attempt": 2, "max_attempts": 3}, "Trying again in 12 s (attempt 2 of 3)"),
        ({"run_in": 11.2, "attempt": 2, "max_attempts": 3}, "Trying again in 12 s (attempt 2 of 3)"),
        ({"run_in": 600, "attempt": 2, "max_attempts": 3}, "Trying again in 10 min (attempt 2 of 3)"),
        ({"run_in": 7200, "attempt": 2, "max_attempts": 3}, "Trying again in 2 h (attempt 2 of 3)"),
        ({"run_in": 1, "after": 2, "attempt": 2, "max_attempts": 3}, "Trying again (attempt 2 of 3)"),
        ({"state": State.RUNNING}, "Running"),
        ({"state": State.RUNNING, "message": "Importing"}, ""),
        ({"state": State.RUNNING, "message": "Importing", "cancelled": True}, "Cancelling…"),
        ({"cancelled": True}, "Cancelling…"),
        ({"state": State.PAUSED, "message": "Importing"}, "Paused"),
        ({"state": State.COMPLETED, "message": "All there"}, "Done"),
        ({"state": State.FAILED}, "Failed"),
        ({"state": State.CANCELLED, "cancelled": True}, "Cancelled"),
        ({"state": State.LOST}, "Lost"),
    ],
)
def test_the_headline_says_the_state_in_plain_words(words: Any, values: dict[str, Any], headline: str) -> None:
    assert words(**values).headline == headline


@pytest.mark.parametrize(
    ("values", "share", "figure", "count"),
    [
        ({}, None, "", ""),
        ({"percent": 62.4}, "62.4", "62%", ""),
        ({"percent": 50.0, "done": 100_000, "total": 200_000}, "50", "50%", f"100{SPACE}000 of 200{SPACE}000"),
        ({"percent": 99.9}, "99", "99%", ""),
        ({"percent": 100.0, "done": 12, "total": 10}, "99", "99%", "12 of 10"),
        ({"done": 0, "total": 0}, None, "", "0 of 0"),
        ({"percent": 60.0, "done": 1234, "unit": "rows"}, None, "", f"1{SPACE}234 rows"),
        ({"state": State.COMPLETED, "percent": 100.0, "done": 5, "total": 5}, "100", "100%", "5"),
        ({"state": State.COMPLETED, "percent": 100.0, "done": 4, "total": 5}, "100", "100%", "4 of 5"),
        ({"state": State.COMPLETED, "percent": 100.0, "done": 7}, "100", "100%", "7"),
        ({"state": State.FAILED, "percent": 40.0, "done": 4, "total": 10}, "40", "", "4 of 10"),
        ({"state": State.QUEUED, "percent": 40.0}, "40", "", ""),
    ],
)
def test_the_bar_shows_what_is_known_and_no_more(
    words: Any, values: dict[str, Any], share: str | None, figure: str, count: str
) -> None:
    shown = words(**{"state": State.RUNNING, **values})
    assert (shown.share, shown.figure, shown.count) == (share, figure, count)


@pytest.mark.parametrize(
    ("remaining", "english", "german"),
    [
        ((0, 5), "a few seconds left", "noch wenige Sekunden"),
        ((0, 20), "less than 20 s left", "noch weniger als 20 s"),
        ((10, 20), "about 10–20 s left", "noch etwa 10–20 s"),
        ((45, 120), "about 45 s – 2 min left", "noch etwa 45 s bis 2 min"),
        ((60, 60), "about 60 s left", "noch etwa 60 s"),
        ((60, 180), "about 1–3 min left", "noch etwa 1–3 min"),
        ((3600, 10800), "about 1–3 h left", "noch etwa 1–3 h"),
        ((5400, 7200), "about 90 min – 2 h left", "noch etwa 90 min bis 2 h"),
        ((86400, 259200), "about 1–3 days left", "noch etwa 1–3 Tage"),
        ((86400, 86400), "about 24 h left", "noch etwa 24 h"),
    ],
)
def test_the_time_left_is_told_as_a_rounded_range(remaining: tuple[float, float], english: str, german: str) -> None:
    assert time_left(remaining, ENGLISH) == english
    assert time_left(remaining, Languages("/nowhere").get("de")) == german


def test_the_bar_says_the_time_left_of_what_runs(words: Any, store: Store) -> None:
    end = now()
    keep(store, state=State.COMPLETED, started_at=end - timedelta(seconds=60), finished_at=end, supervisor_id=None)
    assert re.fullmatch(r"about .* left", words(state=State.RUNNING).left)
    assert words(state=State.PAUSED).left == ""


def test_a_lost_task_says_what_to_do_next(words: Any) -> None:
    shown = words(state=State.LOST, error="This was lost.", reference="K7QX-3MFA")
    assert shown.problem == "This was lost."
    assert "before you start it again" in shown.advice
    assert shown.reference == "K7QX-3MFA"


def test_warnings_are_listed_up_to_a_number_and_counted_beyond(words: Any) -> None:
    shown = words(state=State.COMPLETED, warnings=[str(count) for count in range(25)])
    assert (len(shown.warnings), shown.more_warnings) == (20, 5)


def test_what_is_spoken_names_task_state_and_share(words: Any) -> None:
    assert words(state=State.RUNNING, percent=25.0, message="Importing").spoken == "Customer import: Importing, 25%"
    assert words(state=State.FAILED, error="No.").spoken == "Customer import: Failed, No."


def test_texts_lose_their_controls_and_are_cut() -> None:
    assert clean("a\x00b\u202ec\u2066d") == "a b c d"
    assert clean("שלום\u200f") == "שלום\u200f"
    assert clean("x" * 300) == "x" * 300
    assert clean("x" * 301) == "x" * 299 + "…"


def test_numbers_are_grouped() -> None:
    assert number(1_234_567) == f"1{SPACE}234{SPACE}567"


@pytest.mark.parametrize(
    ("state", "looks"),
    [
        (State.RUNNING, ["done", "now", "later"]),
        (State.PAUSED, ["done", "now", "later"]),
        (State.FAILED, ["done", "stopped", "later"]),
        (State.LOST, ["done", "stopped", "later"]),
        (State.COMPLETED, ["done", "stopped"]),
        (State.QUEUED, []),
    ],
)
def test_steps_say_what_is_done_and_where_it_stopped(words: Any, state: State, looks: list[str]) -> None:
    phases = [{"name": "\u202ea", "state": "done"}, {"name": "b", "state": "now"}, {"name": "c", "state": "later"}]
    shown = words(state=state, phases=phases).phases
    assert [phase.look for phase in shown] == looks
    assert [phase.name for phase in shown] == ["a", "b", "c"][: len(looks)]


@pytest.mark.parametrize(
    ("number", "seconds", "english", "german"),
    [
        (1, None, "Next in line", "Als Nächstes an der Reihe"),
        (1, 3.0, "Next in line", "Als Nächstes an der Reihe"),
        (3, None, "Number 3 in line", "Platz 3 in der Warteschlange"),
        (3, 61.0, "Number 3 in line · starts in about 65 s", "Platz 3 in der Warteschlange · beginnt in etwa 65 s"),
        (9, 118.0, "Number 9 in line · starts in about 2 min", "Platz 9 in der Warteschlange · beginnt in etwa 2 min"),
    ],
)
def test_a_place_in_a_queue_is_told_with_the_time_until_it_starts(
    number: int, seconds: float | None, english: str, german: str
) -> None:
    assert in_line(number, seconds, ENGLISH) == english
    assert in_line(number, seconds, Languages("/nowhere").get("de")) == german
