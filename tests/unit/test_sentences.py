"""Sentences are taken apart again; those of an application are left as they are."""

from __future__ import annotations

import pytest

from forktask import sentences


@pytest.mark.parametrize("number", ["...", "1.2.3", "e", "+", "1.", ".5", "1e", "nan"])
def test_a_sentence_of_the_application_that_looks_like_ours_stays_whole(number: str) -> None:
    text = f"This took longer than {number} minutes and was stopped."
    assert sentences.parts(text) == (text, {})


def test_the_queue_of_a_missing_worker_is_taken_out_of_its_sentence() -> None:
    text = sentences.NO_WORKER.format(queue="reports")
    assert text == "No worker serves the queue reports."
    assert sentences.parts(text) == (sentences.NO_WORKER, {"queue": "reports"})
