"""Interpreters that know Flask and forktask and nothing else: forks of one, for each that starts costs a second."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import flask.cli  # noqa: F401 - for the forks

import forktask.cli  # noqa: F401

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "tests" / "zoo_apps"


def environment() -> dict[str, str]:
    """Return the environment of a program that imports the applications of the zoo."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ZOO)))}


class Fresh:
    """Runs programs, each in a fork of an interpreter that has run none."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder

    def run(
        self, file: Path, *arguments: str, folder: Path, path: Sequence[str] | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a file as `python FILE` does; with `path`, that is `sys.path`."""
        return self.python(str(file), *arguments, folder=folder, path=path, **environ)

    def python(
        self, *words: str, folder: Path, path: Sequence[str] | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run what `python WORDS` runs: a file, a file after `-P`, or a module after `-m`."""
        streams = [self._folder / "stdout", self._folder / "stderr"]
        request = {"words": words, "folder": str(folder), "path": path, "environ": environ, "streams": streams}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request, default=str) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(stream.read_text() for stream in streams))


@contextmanager
def fresh(folder: Path) -> Iterator[Fresh]:
    """Yield what runs programs."""
    command = [sys.executable, "-P", __file__]
    with subprocess.Popen(
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Fresh(process, folder)


def serve() -> None:
    """Run what is asked for, one after the other."""
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _be(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _be(words: list[str], folder: str, path: list[str] | None, environ: dict[str, str], streams: list[str]) -> None:
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(folder)
    os.environ.update(environ)
    code: Any = 1
    try:
        _run(words, path)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _run(words: list[str], path: list[str] | None) -> None:
    """Do what the interpreter does with its command line, in a module `__main__` that is new."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    option = words.pop(0) if words[0] in ("-P", "-m") else ""
    sys.argv[:] = words
    first = {"-P": [], "-m": [os.getcwd()]}.get(option, [os.path.dirname(os.path.abspath(words[0]))])
    sys.path[:] = path if path is not None else [*first, *sys.path]
    if option == "-m":
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        return
    main.__file__ = os.path.abspath(words[0])
    exec(compile(Path(words[0]).read_bytes(), main.__file__, "exec"), main.__dict__)


if __name__ == "__main__":
    serve()
