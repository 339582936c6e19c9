"""`forktask init`, from both entry points, on each kind of database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from forktask.store import Store
from tests.databases import KINDS, database_url
from tests.unit.fresh import Fresh

BIN = Path(sys.executable).parent

APPLICATION = """
import os
from flask import Flask
from forktask.web import ForkTask

app = Flask(__name__)
app.config["FORKTASK_DATABASE_URL"] = os.environ["SITE_DATABASE"]
ForkTask(app)
"""
TABLES = {"forktask_status", "forktask_supervisor", "forktask_attempt", "forktask_log"}


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(interpreters: Fresh, tmp_path: Path) -> Run:
    """Give what runs one of the commands that an installation has, in a folder."""
    return lambda name, *words, **environ: interpreters.run(BIN / name, *words, folder=tmp_path, **environ)


def tables(url: str) -> set[str]:
    """Return the names of the tables in a database."""
    engine = create_engine(url)
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
def test_init_creates_the_tables_of_the_url_in_the_environment(run: Run, kind: str, tmp_path: Path) -> None:
    with database_url(kind, tmp_path) as url:
        for _ in range(2):
            done = run("forktask", "init", FORKTASK_DATABASE_URL=url)
            assert done.returncode == 0, done.stderr
            assert "the tables are in" in done.stdout
        assert tables(url) >= TABLES


@pytest.mark.parametrize("command", [("forktask", "--app", "site_app:app"), ("flask", "--app", "site_app", "forktask")])
def test_init_creates_the_tables_of_an_application(run: Run, command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "site_app.py").write_text(APPLICATION)
    url = f"sqlite:///{tmp_path}/data/tasks.sqlite"
    done = run(*command, "init", SITE_DATABASE=url)
    assert done.returncode == 0, done.stderr
    assert tables(url) >= TABLES


def test_an_application_that_is_not_there_is_named_in_one_sentence(run: Run) -> None:
    done = run("forktask", "--app", "nowhere:app", "init")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_had_is_one_sentence(run: Run) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    done = run("forktask", "init", FORKTASK_DATABASE_URL=url)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_a_wrong_setting_is_one_sentence(run: Run) -> None:
    done = run("forktask", "init", FORKTASK_MAX_RUNING="3")
    assert done.returncode == 1
    assert "did you mean FORKTASK_MAX_RUNNING" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_is_not_shown() -> None:
    assert Store("mysql+pymysql://me:secret@host/db").database.shown_url == "mysql+pymysql://me:***@host/db"
    assert Store("sqlite:////a/b.sqlite").database.shown_url == "sqlite:////a/b.sqlite"


FOUND = {
    "app.py": ("app.py", {}),
    "wsgi.py": ("wsgi.py", {}),
    "FLASK_APP, a module": ("site_app.py", {"FLASK_APP": "site_app"}),
    "FLASK_APP, a file and a name": ("site_app.py", {"FLASK_APP": "./site_app.py:app"}),
}


@pytest.mark.parametrize("way", FOUND)
def test_without_app_the_application_is_found_as_flask_finds_it(run: Run, way: str, tmp_path: Path) -> None:
    name, environ = FOUND[way]
    (tmp_path / name).write_text(APPLICATION)
    with database_url("sqlite", tmp_path) as url:
        done = run("forktask", "init", SITE_DATABASE=url, **environ)
        assert done.returncode == 0, done.stderr
        assert tables(url) >= TABLES


def test_an_application_that_flask_would_not_find_either_is_told(run: Run) -> None:
    done = run("forktask", "init", FLASK_APP="nowhere")
    assert done.returncode != 0
    assert "Could not import 'nowhere'" in done.stderr


def test_where_all_is_said_by_the_environment_no_application_is_imported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("raise SystemExit('imported')")
    with database_url("sqlite", tmp_path) as url:
        environ = {"FORKTASK_DATABASE_URL": url, "FORKTASK_APP": "tests.zoo:"}
        assert run("forktask", "init", **environ).returncode == 0
