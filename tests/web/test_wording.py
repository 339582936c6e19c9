"""What a person reads, state by state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from forktask import State, TaskStatus
from forktask.clock import now
from forktask.store import Store
from forktask.web.wording import Wording, clean, describe, number
from tests.web.rows import keep

SPACE = "\u202f"


@pytest.fixture
def words(app: Flask, store: Store) -> Any:
    """Return a function that keeps a row and says what a person reads some seconds later."""

    def read(after: float = 0, **values: Any) -> Wording:
        moment = now()
        if "run_in" in values:
            values["run_after"] = moment + timedelta(seconds=values.pop("run_in"))
        if values.pop("cancelled", False):
            values["cancel_requested_at"] = moment
        with app.app_context():
            status = TaskStatus.get(keep(store, created_at=moment, **values))
            return describe(status, moment + timedelta(seconds=after))

    return read


@pytest.mark.parametrize(
    ("values", "headline"),
    [
        ({}, "Waiting to start"),
        ({"after": 60}, "Waiting for a free place"),
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
