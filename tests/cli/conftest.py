"""The command line in this process, from both entry points, on each kind of database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from flask.cli import FlaskGroup

from forktask.cli import group
from forktask.runtime import Runtime
from forktask.tables import metadata
from forktask.web import ForkTask
from tests import zoo
from tests.databases import KINDS, database_url, order
from tests.runtimes import MakeRuntime, _current_is, make_runtime, runtimes
from tests.unit.fresh import fresh

__all__ = ["make_runtime", "zoo"]


@dataclass(frozen=True)
class CommandLine:
    """Runs commands on a database."""

    runtime: Runtime
    application: Flask | None = None
    """Its commands are given to `flask`; None: to `forktask`."""

    def run(self, *arguments: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run a command; return what it wrote."""
        command: Any = group
        words = list(arguments)
        if self.application is not None:
            command, words = FlaskGroup(create_app=lambda: self.application, set_debug_flag=False), ["forktask", *words]  # type: ignore[arg-type,return-value]
        # `flask` sets FLASK_RUN_FROM_CLI, with which `app.run()` does nothing; `--app` looks in the folder, too
        with mock.patch.dict(os.environ), mock.patch.object(sys, "path", [*sys.path]):
            done = CliRunner().invoke(command, words, input=stdin, catch_exceptions=False, prog_name="forktask")
        assert done.exit_code == code, done.output
        return done

    def said(self, *arguments: str, code: int = 0, stdin: str | None = None) -> str:
        """Return what a command wrote to standard output."""
        return self.run(*arguments, code=code, stdin=stdin).stdout

    def refused(self, *arguments: str, code: int = 1, stdin: str | None = None) -> str:
        """Return the one line that a command wrote to standard error."""
        told = self.run(*arguments, code=code, stdin=stdin).stderr
        assert told.count("\n") == 1, told
        return told


class Program(Protocol):
    """Runs one of the programs of an installation in a folder, as `site_example.program`; `environ` is added."""

    def __call__(self, *command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="module")
def forked_program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Give what runs programs in forks of an interpreter that has imported them: where its start is of no concern."""
    with fresh(tmp_path_factory.mktemp("fresh")) as interpreters:

        def run(*command: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
            path = Path(sys.executable).with_name(command[0])
            more = {"FORKTASK_RUNTIME_DIR": str(folder / "run"), **environ}
            return interpreters.run(path, *command[1:], folder=folder, **more)

        yield run


@pytest.fixture(scope="module", params=KINDS)
def _database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Runtime, Flask]]:
    folder = tmp_path_factory.mktemp("cli")
    with database_url(request.param, folder) as url, runtimes(url, folder) as make:
        runtime = make(start_method="inline")
        runtime.store.create_tables()
        application = Flask("site")
        application.config.update(FORKTASK_DATABASE_URL=url, FORKTASK_START_METHOD="inline", FORKTASK_APP="tests.zoo:")
        ForkTask(application)
        yield runtime, application
        application.extensions["forktask"].runtime.close()


@pytest.fixture(params=["forktask", "flask"])
def cli(request: pytest.FixtureRequest, _database: tuple[Runtime, Flask]) -> Iterator[CommandLine]:
    """Give the command line on each kind of database, from each entry point, with empty tables."""
    runtime, application = _database
    with contextmanager(_current_is)(runtime):
        yield CommandLine(runtime, application if request.param == "flask" else None)
    order(runtime.settings.database_url, *(f"DELETE FROM {table}" for table in metadata.tables))


@pytest.fixture
def here(make_runtime: MakeRuntime) -> CommandLine:
    """Give the command line on an SQLite database of this test alone."""
    runtime = make_runtime(start_method="inline")
    runtime.store.create_tables()
    return CommandLine(runtime)
