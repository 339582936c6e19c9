"""The command line without the start of an interpreter, which would cost more than all that the commands do."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

from click.testing import CliRunner

from forktask import config, place, registry
from forktask.cli import group
from forktask.runtime import Runtime
from tests.runtimes import _current_is


def environment(runtime: Runtime) -> dict[str, str]:
    """Return the environment of an operator who works on the database of a runtime."""
    settings = runtime.settings
    return {
        **os.environ,
        "FORKTASK_DATABASE_URL": settings.database_url,
        "FORKTASK_RUNTIME_DIR": settings.runtime_dir,
        "FORKTASK_APP": "tests.zoo:",
        "FORKTASK_VERSION": "test",
        "FORKTASK_SAMPLE_INTERVAL": "0.05",
        "FORKTASK_HEARTBEAT_INTERVAL": "0.5",
        "FORKTASK_STOP_TIMEOUT": "0.3",
    }


@contextmanager
def operator(environ: Mapping[str, str]) -> Iterator[None]:
    """Be somebody with that environment, whose settings are all there, and without the applications of other tests."""
    alone: Any = mock.patch.object(place, "_contexts", [])
    with mock.patch.dict(os.environ, environ), mock.patch.object(sys, "path", [*sys.path]), alone:
        runtime = Runtime(config.load({}, os.environ))
        try:
            with contextmanager(_current_is)(runtime):
                yield
        finally:
            runtime.close()


def run(runtime: Runtime, *arguments: str, code: int = 0) -> str:
    """Run a command in this process, on the database of a runtime; return what it printed."""
    with operator(environment(runtime)):
        done = CliRunner().invoke(group, arguments, catch_exceptions=False, prog_name="forktask")
    assert done.exit_code == code, done.output
    return done.output


def forked(act: Callable[[], Any], environ: Mapping[str, str], **streams: Any) -> subprocess.Popen[str]:
    """Start a fork of this process, without the tasks of other tests, that acts as an operator and ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: threads are running; it soon executes
        return subprocess.Popen([sys.executable], preexec_fn=partial(_be, act, environ), text=True, **streams)  # noqa: PLW1509 - as above


def command(*arguments: str) -> Callable[[], None]:
    """Return what acts as the command line does; a worker executes its supervisor, as ever."""
    return lambda: group.main(arguments, prog_name="forktask")


def _be(act: Callable[[], Any], environ: Mapping[str, str]) -> None:
    code = 0
    try:
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115 - to the end
        of_others = [one.name for one in registry.tasks() if one.module != "tests.zoo"]
        for name in of_others:
            del registry._tasks[name]
        with operator(environ):
            act()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
