"""What cannot be called as a task is refused where it is written, not when somebody waits for it."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from forktask import LiveStatus, Task, registry, task


def without_status() -> None: ...
def with_more(status: LiveStatus, year: int) -> None: ...
async def asynchronous(status: LiveStatus) -> None: ...
async def asynchronous_steps(status: LiveStatus) -> AsyncIterator[int]:
    yield 1


def steps(status: LiveStatus) -> Iterator[int]:
    yield 1


WRONG: list[tuple[Callable[..., Any], str]] = [
    (without_status, r"without_status\(\) .* is called as without_status\(status\): too many positional"),
    (with_more, r"with_more\(.*\) .* is called as with_more\(status\): missing a required argument: 'year'"),
    (asynchronous, r"asynchronous is asynchronous; .* asyncio.run\(\)"),
    (asynchronous_steps, "asynchronous_steps is asynchronous; "),
    (steps, "steps has a yield, "),
]


@pytest.mark.parametrize(("function", "said"), WRONG, ids=[function.__name__ for function, _ in WRONG])
def test_a_function_that_cannot_be_called_with_a_status_is_refused(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        task(function)
    with pytest.raises(TypeError, match=r"WrongTask\.execute"):
        type("WrongTask", (Task,), {"execute": staticmethod(function)})
    assert not [name for name in registry.names() if name.endswith(("WrongTask", function.__name__))]


def test_a_batch_that_cannot_be_called_with_statuses_is_refused() -> None:
    with pytest.raises(TypeError, match=r"WrongTask\.execute_batch\(self\) is called as .*\(self, status\): too many"):
        type("WrongTask", (Task,), {"batch": 2, "execute_batch": lambda self: None})


def test_what_can_be_called_with_a_status_is_a_task() -> None:
    def execute(self: Any, *statuses: LiveStatus, year: int = 2026) -> int:
        return year

    def given_year(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.wraps(function)(lambda *of: function(*of, 2026))

    for fit in (
        execute,
        given_year(lambda self, status, year: year),
        staticmethod(given_year(with_more)),
        staticmethod(lambda status: 1),
        classmethod(lambda cls, status: 1),
        functools.partial(int, "1"),
        functools.partialmethod(lambda self, status, year: year, year=2026),
    ):
        assert type("FitTask", (Task,), {"execute": fit}).name.endswith("FitTask")  # type: ignore[attr-defined]
