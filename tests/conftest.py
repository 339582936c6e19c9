"""What all tests share: nothing is left running after the last one, and each leaves the environment as it was."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator

import psutil
import pytest

import forktask.web  # noqa: F401 - which says, as the tests' own, which runtime is the current one
from forktask import runtime
from tests import runtimes, warm  # noqa: F401
from tests.leftovers import describe, leftovers, mark_this_run
from tests.waiting import wait_until

RUN = mark_this_run()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Use two workers a core, for most tests wait; not more than the databases and a small memory can serve."""
    return min(2 * len(os.sched_getaffinity(0)), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the soak, which takes a minute of one worker: begun last it would keep all others waiting."""
    items.sort(key=lambda item: "test_soak.py" not in item.nodeid)


def pytest_collection_finish() -> None:
    """Spare the collector what was imported and collected: it stays to the end and would be looked at ever again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fail the run, and end them, if processes that a test started are there after the last test."""
    yield
    warm.close()
    try:
        wait_until(lambda: not leftovers(RUN), timeout=5)
    except AssertionError:
        left = leftovers(RUN)
        told = "\n".join(describe(process) for process in left)
        for process in left:
            end(process)
        pytest.fail(f"left running after the last test:\n{told}", pytrace=False)


@pytest.fixture(autouse=True)
def the_environment_is_left_as_it_was() -> Iterator[None]:
    """Fail the test that changes the environment of those which follow it in this process, or in one it starts."""
    before, path, folder, resolvers = _environment(), [*sys.path], os.getcwd(), [*runtime._resolvers]
    yield
    resolvers_after, runtime._resolvers[:] = [*runtime._resolvers], resolvers
    after, path_after, folder_after = _environment(), [*sys.path], os.getcwd()
    sys.path[:] = path
    os.chdir(folder)
    assert (path_after, folder_after) == (path, folder), "the test changed sys.path, or the working directory"
    os.environ.update(before)
    for name in after.keys() - before.keys():
        del os.environ[name]
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert not changed, f"the test changed the environment: {sorted(changed)}"
    assert resolvers_after == resolvers, "the test changed which runtime is the current one"


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def end(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
