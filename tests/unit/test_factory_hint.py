"""The function that made the application is told from one that only ran it, and must not run again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from forktask import application


class Application:
    """As much of a Flask application as the stack is searched for."""

    import_name = __name__


# Functions under way when the application asks who makes it. They stand for an application's own modules.


def ask(app: Application) -> str | None:
    return application.factory_hint(app)


hints: list[str | None] = []


def create(kind: Any = "a", *rest: Any, **named: Any) -> Application:
    app = Application()
    hints.append(ask(app))
    return app


def create_by_name(kind: Any = "a", *, key: Any = None) -> Application:
    app = create(kind)
    app.import_name = __name__
    return app


def hands_on() -> Application:
    return create_by_name(key=[1])


def serve(app: Application) -> int:
    return 0


def serves() -> int:
    return serve(create())


def serves_later() -> int:
    app = create()
    return serve(app)


def generates() -> Any:
    app = create()
    yield
    return app


def decorate(function: Callable[[], Application]) -> Callable[[], Application]:
    @functools.wraps(function)
    def another() -> Application:
        return function()

    return another


@decorate
def decorated() -> Application:
    return create("inner")


def imports_a_module() -> Application:
    app = Application()
    exec("hints.append(ask(app))", {"hints": hints, "ask": ask, "app": app})
    return app


class Middleware:
    def __init__(self, app: Application) -> None:
        self.app = app

    def __call__(self) -> None: ...


def wraps() -> Middleware:
    return Middleware(create())


def wraps_later() -> Middleware:
    app = create()
    return Middleware(app)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (create, "create()"),
        (lambda: create("b"), "create('b')"),
        (lambda: create("b", 1, x=None), "create('b', 1, x=None)"),
        (lambda: create(object()), None),
        (lambda: create("x" * 3000), None),
        (lambda: create(float("nan")), None),
        (lambda: create_by_name(key="k"), "create_by_name(key='k')"),
        (hands_on, "hands_on()"),
        (serves, "create()"),
        (serves_later, "create()"),
        (lambda: list(generates()), "create()"),
        (decorated, "create('inner')"),
        (imports_a_module, "imports_a_module()"),
        (wraps, "wraps()"),
        (wraps_later, "wraps_later()"),
    ],
)
def test_the_outermost_function_that_returns_the_application_is_named(call: Any, expected: str | None) -> None:
    hints.clear()
    call()
    (hint,) = hints
    assert hint is None if expected is None else hint is not None and hint.rpartition(":")[2] == expected


def test_a_function_inside_a_function_is_no_factory() -> None:
    def local() -> Application:
        return create(object())

    hints.clear()
    local()
    assert hints == [None]
