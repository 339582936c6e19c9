"""How an application and forktask come together."""

from __future__ import annotations

import gc
import weakref
from dataclasses import fields
from pathlib import Path
from threading import Thread

import pytest
from flask import Flask

from forktask import ConfigurationError, Runtime, Settings, descriptors
from forktask.runtime import current
from forktask.web import ForkTask
from forktask.web.extension import current_runtime


def site(folder: Path) -> Flask:
    """Return an application that lives in `folder`."""
    app = Flask("site", root_path=str(folder), instance_path=str(folder / "instance"))
    app.config.update(SECRET_KEY="x", FORKTASK_START_METHOD="inline", FORKTASK_APP="site:app")
    return app


def test_one_extension_serves_many_applications(tmp_path: Path) -> None:
    forktask = ForkTask()
    one, other = site(tmp_path / "one"), site(tmp_path / "other")
    forktask.init_app(one)
    forktask.init_app(other)
    with one.app_context():
        first = current_runtime()
    with other.app_context():
        second = current_runtime()
    assert first is one.extensions["forktask"].runtime
    assert second is other.extensions["forktask"].runtime
    assert first is not second


def test_an_application_that_is_dropped_leaves_nothing_open(tmp_path: Path) -> None:
    """Tests of applications make one each; the last one stays, for calls outside an application context."""

    def use(name: str) -> weakref.ref[Flask]:
        app = site(tmp_path / name)
        ForkTask(app)
        app.test_client().get("/forktask/progress?t=x")
        app.extensions["forktask"].runtime.store.ensure_tables()
        return weakref.ref(app)

    use("first")
    gc.collect()
    before = descriptors.open_descriptors()
    dropped = [use(f"site{number}") for number in range(4)]
    gc.collect()
    assert [app() for app in dropped[:-1]] == [None] * 3
    assert len(descriptors.open_descriptors()) == len(before)


def test_outside_an_application_context_rows_stand_where_the_pages_of_the_last_application_look(app: Flask) -> None:
    runtime = app.extensions["forktask"].runtime
    found: list[Runtime] = []
    thread = Thread(target=lambda: found.append(current()))
    thread.start()
    thread.join()
    assert found == [runtime]


def test_outside_an_application_context_there_is_no_runtime_of_the_request(app: Flask) -> None:
    assert current_runtime() is None
    with Flask("stranger").app_context():
        assert current_runtime() is None


def test_the_default_database_is_a_file_in_the_instance_folder(app: Flask) -> None:
    assert app.extensions["forktask"].settings.database_url == f"sqlite:///{app.instance_path}/forktask.sqlite"


def test_a_database_that_is_named_is_used(bare: Flask, tmp_path: Path) -> None:
    bare.config["FORKTASK_DATABASE_URL"] = f"sqlite:///{tmp_path}/own.sqlite"
    ForkTask(bare)
    assert bare.extensions["forktask"].settings.database_url == f"sqlite:///{tmp_path}/own.sqlite"


def test_a_wrong_setting_is_named_at_the_start(bare: Flask) -> None:
    bare.config["FORKTASK_POLL_INTERVAL"] = "soon"
    with pytest.raises(ConfigurationError, match="FORKTASK_POLL_INTERVAL"):
        ForkTask(bare)
    assert "forktask" not in bare.extensions


def test_connecting_twice_is_refused_with_a_sentence(app: Flask) -> None:
    with pytest.raises(ConfigurationError, match="already"):
        ForkTask(app)


def test_init_app_lists_every_setting() -> None:
    text = ForkTask.init_app.__doc__ or ""
    assert not [field.name for field in fields(Settings) if f"`FORKTASK_{field.name.upper()}`" not in text]
