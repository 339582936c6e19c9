"""A small application, with its own database, for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from forktask import TaskStatus
from forktask.store import Store
from forktask.web import ForkTask


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Flask]:
    """An application that does not know forktask yet; what it opens is closed."""
    for folder in ("templates", "static", "instance"):
        (tmp_path / folder).mkdir()
    app = Flask("site", root_path=str(tmp_path), instance_path=str(tmp_path / "instance"))
    app.config.update(
        SECRET_KEY="only for tests", TESTING=True, FORKTASK_START_METHOD="inline", FORKTASK_APP="site:app"
    )
    yield app
    if (state := app.extensions.get("forktask")) is not None:
        state.runtime.close()


@pytest.fixture
def app(bare: Flask) -> Iterator[Flask]:
    ForkTask(bare)
    runtime = bare.extensions["forktask"].runtime
    yield bare
    runtime.close()  # a test may have given the application another one


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def store(app: Flask) -> Iterator[Store]:
    """The application's table, to put rows into."""
    store = Store(app.extensions["forktask"].settings.database_url)
    store.ensure_tables()
    yield store
    store.close()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give the list of waits that were begun; none takes time."""
    begun: list[float] = []

    def wait(status: TaskStatus, timeout: float | None = None) -> TaskStatus:
        begun.append(timeout or 0)
        return status

    monkeypatch.setattr(TaskStatus, "wait", wait)
    return begun
