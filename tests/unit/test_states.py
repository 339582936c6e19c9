"""States, causes and moves as data."""

from __future__ import annotations

import pytest

from forktask.states import FINAL, LIVE, MOVES, UNCOUNTED, UNDER_WAY, Cause, StartMethod, State, sources


def test_the_words_are_those_of_the_table() -> None:
    assert [*State] == ["queued", "running", "paused", "completed", "failed", "cancelled", "lost"]
    assert [*StartMethod] == ["forkserver", "fork", "spawn", "inline"]
    assert {*Cause} == {
        "exception", "exit", "signal", "out_of_memory", "timeout", "cancelled", "interrupted", "launch",
        "supervisor_gone",
    }  # fmt: skip


def test_each_state_has_its_moves() -> None:
    assert MOVES.keys() == set(State)


def test_each_state_is_final_or_live() -> None:
    assert set(State) == FINAL | LIVE
    assert not FINAL & LIVE
    assert UNDER_WAY < LIVE
    assert {state for state in State if state.is_final} == FINAL


@pytest.mark.parametrize("state", sorted(FINAL))
def test_only_an_order_to_run_again_leaves_a_final_state(state: State) -> None:
    assert MOVES[state] <= {State.QUEUED}


def test_what_was_completed_is_not_run_again() -> None:
    assert not MOVES[State.COMPLETED]


@pytest.mark.parametrize("state", sorted(UNDER_WAY))
def test_an_attempt_under_way_can_end_in_every_way(state: State) -> None:
    assert MOVES[state] >= FINAL


@pytest.mark.parametrize("state", [State.COMPLETED, State.LOST])
def test_what_does_not_run_can_neither_complete_nor_be_lost(state: State) -> None:
    assert sources(state) == UNDER_WAY


@pytest.mark.parametrize("state", list(State))
def test_no_state_follows_itself(state: State) -> None:
    assert state not in MOVES[state]


@pytest.mark.parametrize("target", list(State))
def test_sources_are_the_moves_read_backwards(target: State) -> None:
    assert sources(target) == {state for state in State if target in MOVES[state]}
    assert sources(target)


def test_every_state_can_be_reached_from_the_first() -> None:
    reached = {State.QUEUED}
    for _ in State:
        reached |= {target for state in reached for target in MOVES[state]}
    assert reached == set(State)


def test_a_deploy_and_a_failed_start_use_up_no_attempt() -> None:
    assert {Cause.INTERRUPTED, Cause.LAUNCH} == UNCOUNTED
