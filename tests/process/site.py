"""A folder with a program of its own: run for real, watched from outside, and nothing of it left at the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from forktask.rows import StatusRow
from forktask.store import Store
from tests.marks import marked
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MARK = "TEST_SITE"
PATIENCE = 60.0

REPORT = """
    import json, os, sys
    from forktask import Task, TaskStatus, task

    class WhereTask(Task):
        def execute(self, status):
            return where()

    def where():
        command = open("/proc/self/cmdline").read().split("\\0")
        verb = command[command.index("forktask") + 1] if "forktask" in command else "program"
        return {"verb": verb, "pid": os.getpid()}

    def told(*statuses):
        for status in statuses:
            status.wait(50)
        print(json.dumps([[status.state, (status.result or {}).get("verb"), status.error] for status in statuses]))
"""
"""A program's head: what started the process of a task is read from its command line."""


class Site:
    """One application on its own: folder, database, runtime directory, and a mark in the environment.

    Attributes:
        environ: What its programs get; equal environments share a supervisor.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.mark = uuid.uuid4().hex
        self.runtime_dir = folder / "run"
        self.store = Store(url)
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            MARK: self.mark,
            "FORKTASK_DATABASE_URL": url,
            "FORKTASK_RUNTIME_DIR": str(self.runtime_dir),
            "FORKTASK_IDLE_EXIT": "30",  # `end` ends it; on a busy machine a second is over soon
            "FORKTASK_STOP_TIMEOUT": "0.3",
        }

    def write(self, name: str, source: str) -> Path:
        """Write one file of the site."""
        path = self.folder / name
        text = textwrap.dedent(source)
        if not path.exists() or path.read_text(encoding="utf-8") != text:  # a new time of change is a new version
            path.write_text(text, encoding="utf-8")
        return path

    def start(self, *command: str, **more: str) -> subprocess.Popen[str]:
        """Start a Python program in the folder; its standard output is a pipe."""
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.folder,
            env={**self.environ, **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, source: str, *arguments: str, name: str = "program.py", **more: str) -> Any:
        """Run a program to its end; return the JSON that it printed last."""
        self.write(name, source)
        with self.start(name, *arguments, **more) as process:
            try:
                output, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, errors + self.log()
        return json.loads(output.splitlines()[-1]) if output.strip() else None

    def log(self) -> str:
        """Return what the supervisors of this site logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.runtime_dir.glob("*.log")))

    def row(self, status_id: str) -> StatusRow:
        """Return one row as it is."""
        row = self.store.get(uuid.UUID(status_id))
        assert row is not None
        return row

    def rows(self) -> list[StatusRow]:
        """Return all rows, the oldest first."""
        return self.store.find(limit=10_000)[::-1]

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        """Wait patiently; say at the end what the supervisors logged."""
        try:
            return wait_until(condition, timeout=PATIENCE, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{[row[:6] for row in self.rows()]}\n{self.log()}") from None

    def until_final(self, *status_ids: str) -> list[StatusRow]:
        """Wait until these rows are final; all of them if none is named."""

        def final() -> list[StatusRow] | None:
            rows = [self.row(each) for each in status_ids] or self.rows()
            return rows if rows and all(row.state.is_final for row in rows) else None

        found: list[StatusRow] = self.until(final, "the end of all tasks")
        return found

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Return the living processes of this site; those with `word` on the command line."""
        return [process for process in marked(MARK, self.mark) if word in command_of(process)]

    def supervisors(self) -> list[psutil.Process]:
        """Return the supervisors that were exec'd and live: not their runners."""
        found = self.processes("-m forktask supervisor")
        pids = {process.pid for process in found}
        return [process for process in found if _parent(process) not in pids]

    def end(self) -> None:
        """End the supervisors, see that everything goes by itself, and that it does."""
        for supervisor in self.supervisors():
            with suppress(psutil.Error):
                supervisor.send_signal(signal.SIGTERM)
        try:
            wait_until(lambda: not self.processes(), timeout=20, what="the end of all processes of the site")
        except AssertionError as error:
            left = [f"{process.pid} {command_of(process)}" for process in self.processes()]
            raise AssertionError(f"{error}: {left}\n{self.log()}") from None
        finally:
            self.kill()
            self.store.close()

    def kill(self) -> None:
        """SIGKILL whatever is there."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()


def command_of(process: psutil.Process) -> str:
    """Return the command line; empty for what is gone."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


@contextmanager
def open_site(folder: Path, url: str = "") -> Iterator[Site]:
    """Yield a site with SQLite unless told otherwise; end it afterwards."""
    site = Site(folder, url or f"sqlite:///{folder}/forktask.sqlite")
    try:
        yield site
    except BaseException:
        site.kill()
        site.store.close()
        raise
    else:
        site.end()
