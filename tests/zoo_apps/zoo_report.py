"""What the applications of this folder tell of themselves; stands for the extension that an application uses."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable

from flask import Flask, current_app

from forktask import application, registry


def task(function: Callable[[], None]) -> Callable[[], None]:
    registry.register(registry.task_name(function.__module__, function.__qualname__), function)
    return function


class Extension:
    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        app.extensions["zoo_hint"] = application.factory_hint(app)
        app.add_url_rule("/where", "where", where)
        app.cli.command("where")(lambda: print(where()))


def where() -> str:
    return report(current_app._get_current_object())  # type: ignore[attr-defined]


def report(app: Flask) -> str:
    """Return the reference of `app` and what a reference to it must lead to."""
    reference = application.locate(app, stack_hint=app.extensions["zoo_hint"])
    state = {"path": sys.path, "folder": os.getcwd()}
    return json.dumps({"reference": reference, **state, **contents(app)})


def contents(app: Flask) -> dict[str, object]:
    return {"routes": sorted(str(rule) for rule in app.url_map.iter_rules()), "tasks": registry.names()}


def load(reference: str) -> str:
    """Import `reference`, as a supervisor does, and tell what came."""
    return json.dumps(contents(application.load(reference)))
