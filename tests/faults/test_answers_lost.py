"""The database does what it was asked and the answer is lost, or it goes away while writes are repeated singly."""

from __future__ import annotations

from pathlib import Path

import pytest

from forktask.states import State
from tests import zoo
from tests.process.working import log_of, workers
from tests.runtimes import PATIENCE, MakeRuntime, ended
from tests.waiting import wait_until

FAULT = "TEST_FORGETFUL"
"""Tells the application which one is to happen."""


@pytest.mark.parametrize("fault", ["claim", "save"])
def test_a_row_completes_though_its_claim_or_its_end_was_not_answered(
    make_runtime_both: MakeRuntime, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv(FAULT, fault)
    runtime = make_runtime_both(app="tests.zoo_apps.forgetful:")
    for number in range(2):
        status = ended(zoo.echo.initiate({"number": number}))
        assert status.state is State.COMPLETED
        assert status.result == {"number": number}
        assert status.attempt == 1
    log = "".join(path.read_text() for path in Path(runtime.settings.runtime_dir).glob("*.log"))
    assert ("the line broke after the commit" if fault == "claim" else "refused, with others") in log


def test_a_runner_that_ends_while_the_database_is_away_is_given_nothing(
    make_runtime_both: MakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "runner")
    make_runtime_both(app="tests.zoo_apps.forgetful:", spare_runners=0)
    status = ended(zoo.echo.initiate({"number": 1}))
    assert (status.state, status.attempt) == (State.COMPLETED, 1)


@pytest.mark.parametrize("times", [1, 2])
def test_a_claim_without_an_answer_is_not_lost_with_a_worker_that_is_told_to_end(
    make_runtime_both: MakeRuntime, times: int
) -> None:
    left = make_runtime_both(start_method="inline")
    status = zoo.echo.enqueue({"number": 1})
    with workers(left) as start:
        worker = start(ready=False, FORKTASK_APP="tests.zoo_apps.forgetful:", **{FAULT: "claim"})
        wait_until(lambda: "the line broke after the commit" in log_of(left), PATIENCE, "the fault")
        for _ in range(times):
            worker.terminate()
            wait_until(lambda: worker.poll() is not None or " told to end" in log_of(left), PATIENCE, "an answer")
        assert worker.wait(PATIENCE) == 0
    ends = {State.COMPLETED, State.QUEUED} if times == 1 else {State.COMPLETED, State.QUEUED, State.FAILED}
    assert status.refresh().state in ends  # it fails if it had just begun when it was told twice
