"""What is left of a killed runner's session is killed; strangers who got its number later are not."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from forktask import Cause, State, TaskStatus, process
from forktask.host import descent
from forktask.identity import Identity
from tests.faults import kin
from tests.namespaces import NAMESPACE, refusal
from tests.process.site import PATIENCE, REPORT, Site, open_site
from tests.runtimes import MakeRuntime, runner_of, the_supervisor, wait_for
from tests.waiting import wait_until

PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
LAST_PID = "/proc/sys/kernel/ns_last_pid"


def is_over(pid: int) -> bool:
    found = process.read_stat(pid)
    return found is None or found.state in process.GONE


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


def orphaned(make_runtime: MakeRuntime, task: str, method: Any, **settings: bool) -> tuple[TaskStatus, list[int]]:
    """Run a task of `kin` and kill its supervisor; return its status, and what lives on without a leader."""
    runtime = make_runtime(app="tests.faults.kin:")
    status = getattr(kin, task).using(start_method=method).initiate(settings)
    wait_for(status, lambda one: one.message)
    pids = [int(pid) for pid in (status.message or "").split()]
    runner = runner_of(status)
    assert {found.session for pid in pids if (found := process.read_stat(pid))} == {runner.pid}
    process.send_signal(the_supervisor(runtime.store), signal.SIGKILL)
    wait_until(lambda: process.read_stat(runner.pid) is None, PATIENCE, "the end of the leader")
    assert not any(map(is_over, pids)), "without a look nobody could know"
    return status, pids


@pytest.mark.parametrize("task", ["forks", "executes", "uses_multiprocessing"])
@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_what_outlives_its_runner_ends_before_the_row_says_lost(
    make_runtime: MakeRuntime, task: str, method: str
) -> None:
    status, (pid,) = orphaned(make_runtime, task, method)
    assert (status.refresh().state, status.cause) == (State.LOST, Cause.SUPERVISOR_GONE)
    assert is_over(pid)


FORK = """
    import signal
    from forktask import process
    from tests.faults import kin
    from tests.waiting import wait_until

    if __name__ == "__main__":
        found = []
        for task in (kin.forks, kin.executes):
            status = task.using(start_method="fork").initiate()
            pid = int(wait_until(lambda: status.refresh().message, 50))
            runner = process.read_stat(pid).session
            os.kill(process.read_stat(runner).parent, signal.SIGKILL)
            wait_until(lambda: process.read_stat(runner) is None, 50)
            before = process.read_stat(pid)
            state = status.refresh().state
            after = process.read_stat(pid)
            found.append([before.state in process.GONE, state, after is None or after.state in process.GONE])
        print(json.dumps(found))
"""


def test_what_outlives_its_runner_ends_under_fork_too(site: Site) -> None:
    assert site.run(REPORT + FORK) == [[False, State.LOST, True]] * 2


def test_a_program_that_wiped_its_environment_is_left_alone_and_named(
    make_runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    status, (pid,) = orphaned(make_runtime, "executes_without_environment", "forkserver")
    try:
        assert status.refresh().state is State.LOST
        assert not is_over(pid)
        assert re.search(rf"left alone pid={pid} session=\d+: no proof of supervisor=\S+", caplog.text)
    finally:
        kill(pid)


def test_one_member_proves_all(make_runtime: MakeRuntime, caplog: pytest.LogCaptureFixture) -> None:
    status, pids = orphaned(make_runtime, "executes_without_environment", "forkserver", also=True)
    assert status.refresh().state is State.LOST
    assert [is_over(pid) for pid in pids] == [True, True]
    assert "left alone" not in caplog.text


def session_without_leader(environ: dict[str, str]) -> tuple[Identity, int]:
    """Return who led the session of a process that lives on, and its pid."""
    command = ["/bin/sh", "-c", "/bin/sleep 600 & echo $!"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, start_new_session=True) as shell:
        assert shell.stdout is not None
        leader, pid = process.identify(shell.pid), int(shell.stdout.readline())
    assert process.read_stat(leader.pid) is None
    return leader, pid


@pytest.mark.parametrize("theirs", [{}, {descent.VARIABLE: str(uuid4())}], ids=["no supervisor", "another supervisor"])
def test_a_session_of_the_same_number_is_not_touched(theirs: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    leader, pid = session_without_leader({**os.environ, **theirs})
    try:
        ours = replace(leader, start_ticks=leader.start_ticks - 100)
        assert process.kill_session(ours, uuid4()) == 0
        assert not is_over(pid)
        (record,) = (one for one in caplog.records if one.levelno == logging.WARNING)
        assert f"pid={pid} session={leader.pid}" in record.getMessage()
    finally:
        kill(pid)


def test_a_session_that_shows_its_supervisor_is_killed() -> None:
    supervisor_id = uuid4()
    leader, pid = session_without_leader({**os.environ, descent.VARIABLE: str(supervisor_id)})
    try:
        assert process.kill_session(leader, supervisor_id) == 1
        assert is_over(pid)
    finally:
        kill(pid)


def test_a_process_that_begins_a_program_this_moment_shows_its_supervisor(tmp_path: Path) -> None:
    """One that does nothing else has no environment at about one look of a hundred."""
    supervisor_id = uuid4()
    script = tmp_path / "again"
    script.write_text('exec /bin/sh "$0"\n')
    with subprocess.Popen(["/bin/sh", script], env={descent.VARIABLE: str(supervisor_id)}) as restless:
        try:
            assert all(descent.descends(restless.pid, supervisor_id) for _ in range(3000))
        finally:
            restless.kill()


REUSE = """
    import signal
    from forktask import process
    from tests.waiting import wait_until

    @task
    def waits(status):
        status.update(1, "waits")
        signal.pause()

    def reaped(pid):
        try:
            os.waitpid(-1, os.WNOHANG)  # orphans come to us: we are pid 1
        except ChildProcessError:
            pass
        return process.read_stat(pid) is None

    def daemon(number):
        '''Leave a process in a session of that number, whose leader has left; return its pid.'''
        reader, writer = os.pipe()
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(number - 1))
        if (leader := os.fork()) == 0:
            os.setsid()
            if (pid := os.fork()) == 0:
                signal.pause()
            os.write(writer, str(pid).encode())
            os._exit(0)
        assert leader == number
        os.waitpid(leader, 0)
        return int(os.read(reader, 20))

    if __name__ == "__main__":
        status = waits.initiate()
        wait_until(lambda: status.refresh().message == "waits", 50)
        runner = process.identify(status.row.runner_pid)
        os.kill(process.read_stat(runner.pid).parent, signal.SIGKILL)
        wait_until(lambda: reaped(runner.pid), 50)
        stranger = daemon(runner.pid)
        before = process.read_stat(stranger)
        assert before.session == runner.pid and before.start_ticks >= runner.start_ticks
        state = status.refresh().state
        after = process.read_stat(stranger)
        print(json.dumps([os.getpid(), state, after is not None and after.state not in process.GONE]))
"""


def test_strangers_in_a_session_that_reused_the_number_of_a_runner_live_on(site: Site) -> None:
    """In a pid namespace of its own, where the next pid can be chosen."""
    if refused := refusal(f"echo 300 >{LAST_PID}"):
        pytest.skip(f"no pid namespace can be made here: {refused}")
    site.write("program.py", REPORT + REUSE)
    with subprocess.Popen(
        [*NAMESPACE, sys.executable, "program.py"], cwd=site.folder, env=site.environ, **PIPES
    ) as program:
        output, errors = program.communicate(timeout=PATIENCE)
    assert program.returncode == 0, errors + site.log()
    assert json.loads(output) == [1, State.LOST, True]
    assert "left alone pid=" in errors
