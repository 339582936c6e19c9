"""Settings from `app.config` and the environment, checked as a whole."""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy.dialects
from sqlalchemy import make_url

from forktask.config import CHECKS, PREFIX, Settings, default_max_running, load, normalise_url
from forktask.errors import ConfigurationError
from forktask.states import StartMethod


def problems(config: dict[str, Any], environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(config, environ or {})
    return caught.value.problems


@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_a_dialect_is_found_though_another_thread_has_not_come_to_its_end(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For Python it is imported, and not yet what SQLAlchemy looks for, an attribute of its package."""
    dialects = sqlalchemy.dialects
    importlib.import_module("sqlalchemy.dialects.mysql")
    monkeypatch.delattr(dialects, "mysql")
    monkeypatch.setattr(dialects.registry, "impls", {})
    assert (
        load({"FORKTASK_DATABASE_URL": f"{kind}://host/database"}, {}).database_url == f"{kind}+pymysql://host/database"
    )


def test_nothing_said_gives_the_defaults() -> None:
    assert load({}, {}) == Settings()
    assert Settings().start_method is StartMethod.FORKSERVER


def test_the_default_limit_keeps_a_small_machine_alive() -> None:
    assert Settings().max_running == default_max_running() == max(8, 4 * (os.cpu_count() or 1))
    assert Settings(max_running=3).max_running == 3


def test_the_application_wins_over_the_environment() -> None:
    environ = {"FORKTASK_MAX_RUNNING": "5", "FORKTASK_APP": "shop:app"}
    settings = load({"FORKTASK_MAX_RUNNING": 7}, environ)
    assert (settings.max_running, settings.app) == (7, "shop:app")


def test_an_empty_value_is_no_value() -> None:
    assert load({"FORKTASK_APP": None}, {"FORKTASK_MAX_RUNNING": "", "FORKTASK_LOG_LEVEL": ""}) == Settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("START_METHOD", "spawn", StartMethod.SPAWN),
        ("SPARE_RUNNERS", "0", 0),
        ("LOG_LIMIT", "1_000", 1000),
        ("SAMPLE_INTERVAL", "0.5", 0.5),
        ("IDLE_EXIT", "60", 60.0),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("URL_PREFIX", "/jobs", "/jobs"),
        ("RUNTIME_DIR", "/run/shop", "/run/shop"),
    ],
)
def test_text_of_the_environment_becomes_a_value(name: str, text: str, value: object) -> None:
    found = getattr(load({}, {PREFIX + name: text}), name.lower())
    assert found == value
    assert type(found) is type(value)


def test_values_of_the_application_may_have_their_own_types() -> None:
    settings = load({"FORKTASK_RUNTIME_DIR": Path("/run/shop"), "FORKTASK_START_METHOD": StartMethod.FORK}, {})
    assert (settings.runtime_dir, settings.start_method) == ("/run/shop", StartMethod.FORK)
    settings = load({"FORKTASK_IDLE_EXIT": 60, "FORKTASK_MAX_RUNNING": 8.0}, {})
    assert (settings.idle_exit, settings.max_running) == (60.0, 8)


def test_a_url_object_keeps_its_password() -> None:
    url = make_url("postgresql+psycopg://u:secret@127.0.0.1/db")
    assert load({"FORKTASK_DATABASE_URL": url}, {}).database_url == "postgresql+psycopg://u:secret@127.0.0.1/db"


WRONG = [
    ("START_METHOD", "thread", "must be one of forkserver, fork, spawn, inline"),
    ("MAX_RUNNING", "many", "must be a whole number"),
    ("MAX_RUNNING", 2.5, "must be a whole number"),
    ("MAX_RUNNING", True, "must be a whole number"),
    ("MAX_RUNNING", math.inf, "must be a whole number"),
    ("MAX_RUNNING", [5], "must be a whole number"),
    ("MAX_RUNNING", -1, "must be finite and not negative"),
    ("SPARE_RUNNERS", -1, "must be finite and not negative"),
    ("LOG_LIMIT", -1, "must be finite and not negative"),
    ("SAMPLE_INTERVAL", "soon", "must be a number of seconds"),
    ("SAMPLE_INTERVAL", 0, "must be more than 0 and finite"),
    ("HEARTBEAT_INTERVAL", -5, "must be more than 0 and finite"),
    ("LOST_AFTER", "nan", "must be more than 0 and finite"),
    ("POLL_INTERVAL", "inf", "must be more than 0 and finite"),
    ("MAX_WAIT", -1, "must be finite and not negative"),
    ("STOP_TIMEOUT", -0.1, "must be finite and not negative"),
    ("IDLE_EXIT", "nan", "must be finite and not negative"),
    ("IDLE_EXIT", "inf", "must be finite and not negative"),
    ("LOG_LEVEL", "loud", "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    ("URL_PREFIX", "jobs", "must start with /, name a path and not end with /"),
    ("URL_PREFIX", "/", "must start with /, name a path and not end with /"),
    ("URL_PREFIX", "/jobs/", "must start with /, name a path and not end with /"),
    ("APP", 5, "must be text"),
    ("DATABASE_URL", "shop.sqlite", "is no URL of SQLite, PostgreSQL or MariaDB"),
    ("DATABASE_URL", "oracle://127.0.0.1/db", "is no URL of SQLite, PostgreSQL or MariaDB"),
    ("DATABASE_URL", "postgres//127.0.0.1/db", "is no URL of SQLite, PostgreSQL or MariaDB"),
    ("DATABASE_URL", "postgresql://127.0.0.1:five/db", "has a port that is no number"),
    ("DATABASE_URL", "mysql://127.0.0.1:/db", "has a port that is no number"),
    ("DATABASE_URL", "mysql://127.0.0.1:0/db", "has a port that is not between 1 and 65535"),
    ("DATABASE_URL", "postgresql://127.0.0.1:65536/db", "has a port that is not between 1 and 65535"),
    ("DATABASE_URL", "postgresql+psychopg://127.0.0.1/db", "has a driver that SQLAlchemy does not know"),
    ("DATABASE_URL", "sqlite+lite:///shop.sqlite", "has a driver that SQLAlchemy does not know"),
    ("DATABASE_URL", "mysql+mysqldb://127.0.0.1/db", "has a driver that is not installed here: No module named 'MySQ"),
    ("DATABASE_URL", "postgresql+psycopg_async://127.0.0.1/db", "has an asynchronous driver"),
    ("DATABASE_URL", "mysql://127.0.0.1", "names no database"),
    ("DATABASE_URL", "mariadb://127.0.0.1/", "names no database"),
    ("DATABASE_URL", "sqlite://shop.sqlite", "names a host; a relative path follows three slashes"),
    ("DATABASE_URL", "sqlite://data/shop.sqlite", "names a host; a relative path follows three slashes"),
    ("DATABASE_URL", "sqlite://", "is a database in memory"),
    ("DATABASE_URL", "sqlite:///", "is a database in memory"),
    ("DATABASE_URL", "sqlite:///:memory:", "is a database in memory"),
    ("DATABASE_URL", "sqlite:///:memory:?cache=shared", "is a database in memory"),
    ("DATABASE_URL", "sqlite:///file::memory:?uri=true", "is a database in memory"),
    ("DATABASE_URL", "sqlite:///file:x?mode=memory&uri=true", "is a database in memory"),
]


@pytest.mark.parametrize(("name", "value", "problem"), WRONG)
def test_a_wrong_value_is_named_with_what_is_wanted(name: str, value: object, problem: str) -> None:
    (said,) = problems({PREFIX + name: value})
    assert said.startswith(f"{PREFIX}{name}=")
    assert problem in said


def test_every_checked_setting_has_a_wrong_value_above() -> None:
    assert {name.lower() for name, _, _ in WRONG} >= CHECKS.keys()


def test_every_wrong_value_is_named_at_once() -> None:
    said = problems(
        {"FORKTASK_MAX_RUNING": 5, "FORKTASK_POLL_INTERVAL": -1},
        {
            "FORKTASK_START_METHOD": "thread",
            "FORKTASK_LOG_LIMIT": "much",
            "FORKTASK_URL_PREFIX": "x",
            "FORKTASK_X": "1",
        },
    )
    assert sorted(problem.split()[0].split("=")[0] for problem in said) == [
        "FORKTASK_LOG_LIMIT",
        "FORKTASK_MAX_RUNING",
        "FORKTASK_POLL_INTERVAL",
        "FORKTASK_START_METHOD",
        "FORKTASK_URL_PREFIX",
        "FORKTASK_X",
    ]


def test_an_unknown_name_is_named_with_a_near_one() -> None:
    assert problems({}, {"FORKTASK_MAX_RUNING": "5"}) == (
        "FORKTASK_MAX_RUNING is no setting; did you mean FORKTASK_MAX_RUNNING?",
    )
    assert problems({"FORKTASK_ZZZ": 1}) == ("FORKTASK_ZZZ is no setting",)


def test_names_of_others_are_left_alone() -> None:
    assert load({"SECRET_KEY": "x", "DEBUG": True}, {"PATH": "/bin", "FORKTASK_DEBUG_RUNNER": "1"}) == Settings()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///db",
        "postgresql://u:p@/db?host=/run/postgresql",
        "postgresql://u:p/%40ss@[::1]:5432/db?sslmode=require",
        "postgresql:///?service=shop",
        "mysql:///db",
        "mysql://u@/?read_default_file=/etc/shop.cnf",
        "sqlite:///file:shop.sqlite?uri=true",
    ],
)
def test_a_url_that_a_driver_takes_is_taken(url: str) -> None:
    load({"FORKTASK_DATABASE_URL": url}, {})


@pytest.mark.parametrize(
    "url",
    [
        "oracle://u:secret@127.0.0.1/db",
        "oracle://u:se@secret@127.0.0.1/db",
        "postgresql://u:secret/secret@127.0.0.1:five/db",
        "postgresql://u:secret@127.0.0.1:99999/db",
        "postgresql+psychopg://u:secret@127.0.0.1/db",
        "postgresql//u:secret@127.0.0.1/db",
        "postgresql:u:secret@127.0.0.1/db",
        "postgresql://127.0.0.1:five/db?password=secret&sslmode=require",
        "mysql://127.0.0.1:five/db?user=u&passwd=secret",
        make_url("oracle://u:secret@h/d"),
    ],
)
def test_no_error_shows_a_password(url: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"FORKTASK_DATABASE_URL": url}, {})
    said = str(caught.value)
    assert "***" in said
    assert "secret" not in said
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_settings_made_by_hand_are_checked_as_a_whole() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings(poll_interval=0, lost_after=-1)
    assert caught.value.problems == (
        "FORKTASK_LOST_AFTER=-1 must be more than 0 and finite",
        "FORKTASK_POLL_INTERVAL=0 must be more than 0 and finite",
    )
    assert isinstance(caught.value, ValueError)


def test_a_start_method_in_settings_made_by_hand_is_one_or_is_refused() -> None:
    assert Settings(start_method="inline").start_method is StartMethod.INLINE  # type: ignore[arg-type]
    assert dataclasses.replace(Settings(), start_method="fork").start_method is StartMethod.FORK  # type: ignore[arg-type]
    for wrong in ("threads", "", None, ["fork"]):
        with pytest.raises(
            ConfigurationError, match=r"FORKTASK_START_METHOD=.* must be one of forkserver, fork, spawn"
        ):
            Settings(start_method=wrong)  # type: ignore[arg-type]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().app = "x"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("postgres://h/db", "postgresql+psycopg://h/db"),
        ("postgresql://u:p@h:5432/db?x=1", "postgresql+psycopg://u:p@h:5432/db?x=1"),
        ("mysql://h/db", "mysql+pymysql://h/db"),
        ("mariadb://h/db", "mariadb+pymysql://h/db"),
        ("postgresql+psycopg://h/db", "postgresql+psycopg://h/db"),
        ("mysql+mysqldb://h/db", "mysql+mysqldb://h/db"),
        ("sqlite:////var/shop.sqlite", "sqlite:////var/shop.sqlite"),
        ("sqlite:////var/shop.sqlite?timeout=5", "sqlite:////var/shop.sqlite?timeout=5"),
        ("sqlite:///shop.sqlite", "sqlite:///{here}/shop.sqlite"),
        ("sqlite:///data/shop.sqlite?timeout=5", "sqlite:///{here}/data/shop.sqlite?timeout=5"),
        ("sqlite+pysqlite:///shop.sqlite", "sqlite+pysqlite:///{here}/shop.sqlite"),
        ("sqlite:///file:shop.sqlite?uri=true", "sqlite:///file:shop.sqlite?uri=true"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///?mode=memory", "sqlite:///?mode=memory"),
        ("sqlite://shop.sqlite", "sqlite://shop.sqlite"),
        ("sqlite://", "sqlite://"),
        ("nonsense", "nonsense"),
    ],
)
def test_a_url_names_its_driver_and_its_whole_path(given: str, normal: str, tmp_path: Path) -> None:
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert normalise_url(given) == normal.format(here=tmp_path)
        assert normalise_url(normalise_url(given)) == normalise_url(given)
    finally:
        os.chdir(before)


def test_every_setting_can_be_loaded_by_its_name() -> None:
    plain = Settings()
    values = {PREFIX + field.name.upper(): getattr(plain, field.name) for field in dataclasses.fields(Settings)}
    assert load(values, {}) == plain
    assert load({}, {name: str(value) for name, value in values.items()}) == plain
