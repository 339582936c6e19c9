"""The audit at the end of a run sees what it is there to see."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.leftovers import MARK, leftovers
from tests.waiting import wait_until

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[1]


def is_left(pid: int) -> bool:
    return pid in {process.pid for process in leftovers(os.environ[MARK])}


def has_ended(pid: int) -> bool:
    """Say whether it runs no more; a pid 1 that does not reap keeps its orphans as zombies."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_orphan_in_a_session_of_its_own_is_seen() -> None:
    started = subprocess.run(
        ["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True, check=True
    )
    orphan = psutil.Process(int(started.stdout))
    try:
        wait_until(lambda: orphan.name() == "sleep", what="exec")
        assert is_left(orphan.pid)
    finally:
        orphan.kill()
    wait_until(lambda: not is_left(orphan.pid), what="the end of the orphan")


def test_a_zombie_is_seen() -> None:
    child = subprocess.Popen(["true"])
    wait_until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, what="its end")
    assert is_left(child.pid)
    child.wait()
    assert not is_left(child.pid)


def test_a_run_that_leaves_a_process_fails_and_ends_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        conftest="from tests.conftest import nothing_is_left_running",
        test_it="""
            import pathlib, subprocess
            def test_leaves():
                child = subprocess.Popen(["sleep", "60"])
                pathlib.Path("pid").write_text(str(child.pid))
                child.returncode = 0
        """,
    )
    environ = {**os.environ, MARK: "another run", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=pytester.path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "left running after the last test:" in done.stdout
    assert done.returncode == 1
    assert has_ended(int((pytester.path / "pid").read_text()))
