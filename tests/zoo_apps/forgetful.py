"""The zoo, for a supervisor whose database does something and then does not say so, or goes away between two writes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any

from forktask import in_supervisor
from forktask.store import Store, StoreRefusedError, StoreUnavailableError
from tests.zoo import *  # noqa: F403 - all its tasks

FAULT = "TEST_FORGETFUL"


def forgets_an_answer(claim: Callable[..., Any]) -> Callable[..., Any]:
    """Claim, and lose the answer to the first claim that took a row."""
    left = [True]

    @wraps(claim)
    def claims(store: Store, claims: Any) -> Any:
        rows = claim(store, claims)
        if rows and left:
            left.pop()
            raise StoreUnavailableError("the line broke after the commit")
        return rows

    return claims


def is_away_while_a_runner_ends(claim: Callable[..., Any]) -> Callable[..., Any]:
    """Claim nothing at first, and end the runner that was to have it."""
    left = [True]

    @wraps(claim)
    def claims(store: Store, claims: Any) -> Any:
        if left and claims[0].runner.pid:
            left.pop()
            os.kill(claims[0].runner.pid, signal.SIGKILL)
            raise StoreUnavailableError("the line broke before the claim")
        return claim(store, claims)

    return claims


def refuses_once_and_goes_away(save: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse the first end, then be away for three writes."""
    left: list[Exception] = [StoreUnavailableError("away") for _ in range(3)]
    left.append(StoreRefusedError("refused, with others"))

    @wraps(save)
    def saves(store: Store, samples: Any, ends: Any, log: Any = ()) -> Any:
        if ends and left:
            raise left.pop()
        return save(store, samples, ends, log)

    return saves


if in_supervisor() and os.environ.get(FAULT) == "claim":
    Store.claim = forgets_an_answer(Store.claim)  # type: ignore[method-assign]
if in_supervisor() and os.environ.get(FAULT) == "runner":
    Store.claim = is_away_while_a_runner_ends(Store.claim)  # type: ignore[method-assign]
if in_supervisor() and os.environ.get(FAULT) == "save":
    Store.save = refuses_once_and_goes_away(Store.save)  # type: ignore[method-assign]
