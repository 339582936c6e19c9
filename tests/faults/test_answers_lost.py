"""The database does what it was asked and the answer is lost, or it goes away while writes are repeated singly."""

from __future__ import annotations

from pathlib import Path

import pytest

from forktask.states import State
from tests import zoo
from tests.runtimes import MakeRuntime, ended

FAULT = "TEST_FORGETFUL"
"""Tells the application which one is to happen."""


@pytest.mark.parametrize("fault", ["claim", "save"])
def test_a_row_completes_though_its_claim_or_its_end_was_not_answered(
    make_runtime_each: MakeRuntime, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv(FAULT, fault)
    runtime = make_runtime_each(app="tests.zoo_apps.forgetful:")
    for number in range(2):
        status = ended(zoo.echo.initiate({"number": number}))
        assert status.state is State.COMPLETED
        assert status.result == {"number": number}
        assert status.attempt == 1
    log = "".join(path.read_text() for path in Path(runtime.settings.runtime_dir).glob("*.log"))
    assert ("the line broke after the commit" if fault == "claim" else "refused, with others") in log


def test_a_runner_that_ends_while_the_database_is_away_is_given_nothing(
    make_runtime_each: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "runner")
    make_runtime_each(app="tests.zoo_apps.forgetful:", spare_runners=0)
    status = ended(zoo.echo.initiate({"number": 1}))
    assert (status.state, status.attempt) == (State.COMPLETED, 1)
