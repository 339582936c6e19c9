"""A supervisor that cannot be started, or has no place for its socket: the web process bears it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from forktask.runtime import Runtime
from forktask.status import TaskStatus
from tests import zoo
from tests.faults import harm
from tests.faults.truth import DONE, NOT_STARTED, nothing_else_touched, tells
from tests.runtimes import PATIENCE, QUICK, MakeRuntime, ended

ROOT = Path(__file__).parents[2]
STRANGER = 54321
"""A user whom nobody is."""

REFUSED = """
import sys
from tests import zoo
from tests.faults.refusal import refuse

refuse(sys.argv[1])
print(zoo.echo.initiate({"a": 1}).id)
"""
RUN = """
from tests import zoo
print(zoo.echo.initiate({"a": 1}).wait(80).id)
"""
WITHOUT_ROOTS_RIGHTS = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--"]
"""A user 0 who may write only where the mode of the file lets him."""


def run(runtime: Runtime, program: str, *arguments: str, under: list[str] | None = None) -> TaskStatus:
    """Run a web process of that runtime's settings; return the status whose id it prints."""
    settings = runtime.settings
    environment = os.environ | {f"FORKTASK_{name.upper()}": str(getattr(settings, name)) for name in QUICK}
    environment |= {"FORKTASK_DATABASE_URL": settings.database_url, "FORKTASK_RUNTIME_DIR": settings.runtime_dir}
    command = [*(under or []), sys.executable, "-c", program, *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=3 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return TaskStatus.get(done.stdout.strip())


@pytest.mark.parametrize("call", ["fork", "exec"])
def test_a_row_fails_when_the_kernel_refuses_to_start_the_supervisor(
    make_runtime_both: MakeRuntime, tmp_path: Path, call: str
) -> None:
    beside = make_runtime_both()
    with nothing_else_touched(beside, tmp_path):
        refused = make_runtime_both(version="refused")
        attempt = tells(run(refused, REFUSED, call), NOT_STARTED)
        assert attempt.traceback is not None
        assert attempt.traceback.startswith("cannot start the supervisor: [Errno 11] Resource temporarily unavailable")
        tells(zoo.echo.initiate(), DONE)


@pytest.mark.parametrize("directory", ["cannot be made", "is somebody else's", "cannot be written"])
def test_a_web_process_without_a_runtime_directory_has_a_supervisor_of_its_own(
    make_runtime_both: MakeRuntime, tmp_path: Path, directory: str
) -> None:
    beside, place, under = make_runtime_both(), tmp_path / "place", [] if os.geteuid() else WITHOUT_ROOTS_RIGHTS
    place.mkdir(0o700)
    if directory == "cannot be made":
        place = Path("/proc/forktask")
    elif directory == "cannot be written":
        place.chmod(0o500)
    elif os.geteuid() == 0:
        os.chown(place, STRANGER, STRANGER)
    else:
        place = Path("/usr")
    before = set(place.iterdir()) if place.exists() else set()
    with nothing_else_touched(beside, tmp_path):
        runtime = make_runtime_both(runtime_dir=str(place), version="placeless")
        tells(run(runtime, RUN, under=under), DONE)
        assert (set(place.iterdir()) if place.exists() else set()) == before


def test_a_row_whose_application_cannot_be_imported_fails_alone(make_runtime_both: MakeRuntime, tmp_path: Path) -> None:
    beside = make_runtime_both()
    with nothing_else_touched(beside, tmp_path):
        make_runtime_both(app="tests.zoo_apps.nowhere:app")
        attempt = tells(ended(zoo.nothing.initiate()), NOT_STARTED)
    assert attempt.traceback and "tests.zoo_apps.nowhere" in attempt.traceback


def test_a_hook_that_raises_before_the_task_fails_its_row(own_runtime_both: Runtime, tmp_path: Path) -> None:
    with nothing_else_touched(own_runtime_both, tmp_path):
        attempt = tells(harm.BadlyPreparedTask.initiate(), replace(NOT_STARTED, exit_code=1))
    assert attempt.traceback and "LookupError: no such tenant" in attempt.traceback
