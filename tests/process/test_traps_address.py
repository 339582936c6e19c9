"""The traps of the design around the supervisor's socket, log and streams, each caused for real."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from forktask import State
from tests.process.site import REPORT, Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


@pytest.fixture
def reachable_site() -> Iterator[Site]:
    """A site where other users can come; the folders of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        with open_site(Path(folder)) as site:
            yield site


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_message_of_another_user_is_not_taken(reachable_site: Site) -> None:
    site = reachable_site
    program = """
    if __name__ == "__main__":
        told(WhereTask.initiate())
        if len(sys.argv) > 1:
            sys.exit()
        from forktask import registry
        from forktask.call import Call, row_of
        call = Call(definition=registry.get("program.WhereTask"), settings={}, private={"a": 1})
        row = row_of(call, bound_to="spawn")
        from forktask.store import Store
        Store(os.environ["FORKTASK_DATABASE_URL"]).insert(row)
        print(json.dumps(str(row.id)))
    """
    status_id = site.run(REPORT + program, FORKTASK_IDLE_EXIT="60")
    path = next(path for path in site.runtime_dir.iterdir() if path.is_socket())
    for reached in (path, path.parent):
        reached.chmod(0o777)
    strange = f"""
import json, os, socket
os.setresuid(65534, 65534, 65534)
connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
connection.connect({str(path)!r})
try:
    connection.send(json.dumps(["start", {status_id!r}, "program.WhereTask", {{"bound": True}}]).encode())
    print(connection.recv(10))
except OSError as error:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", strange], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() in ("b''", "refused")
    os.chmod(path.parent, 0o700)
    assert len(site.supervisors()) == 1
    told = site.run(REPORT + program, "once more", FORKTASK_IDLE_EXIT="60")
    assert told[0][0] == State.COMPLETED
    assert site.row(status_id).state is State.QUEUED


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_socket_of_another_user_gets_no_message(site: Site) -> None:
    """The name is taken by a stranger who listens: the caller finds the uid and says so."""
    program = """
    from forktask.runtime import current
    if __name__ == "__main__":
        doorbell = current().doorbell
        if len(sys.argv) > 1:
            status = WhereTask.initiate()
            print(json.dumps([status.state, [a.traceback for a in status.attempts()]]))
        else:
            print(json.dumps(doorbell.destination.directory.path + "/" + doorbell.destination.name))
    """
    path = site.run(REPORT + program)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    os.seteuid(65534)
    try:
        os.seteuid(0)
        listener.bind(path)
        os.seteuid(65534)
        listener.listen()
    finally:
        os.seteuid(0)
    with listener:
        state, details = site.run(REPORT + program, "initiate")
        listener.setblocking(False)
        client, _ = listener.accept()
        assert client.recv(1000) == b""
        client.close()
    assert state == State.FAILED
    assert "belongs to another user" in details[0]


def test_initiate_does_not_wait_for_a_supervisor_that_accepts_nobody(site: Site) -> None:
    program = """
    import fcntl, socket
    from forktask.runtime import current
    if __name__ == "__main__":
        path = current().doorbell.destination.directory.path + "/" + current().doorbell.destination.name
        lock = open(path + ".lock", "w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(path)
        listener.listen(0)
        waiting = []
        while True:
            waiting.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            waiting[-1].setblocking(False)
            try:
                waiting[-1].connect(path)
            except BlockingIOError:
                break
        status = WhereTask.initiate()
        begun = [status.state, status.wait(0.1).state]
        os.unlink(path)
        lock.close()
        listener.close()
        print(json.dumps([*begun, status.wait(50).state]))
    """
    assert site.run(REPORT + program) == [State.QUEUED, State.QUEUED, State.COMPLETED]


def test_a_runtime_directory_with_a_path_that_no_socket_address_holds_serves(site: Site) -> None:
    deep = site.folder / ("long-" * 20) / ("path-" * 20)
    program = """
    if __name__ == "__main__":
        told(WhereTask.initiate(), WhereTask.initiate())
    """
    told = site.run(REPORT + program, FORKTASK_RUNTIME_DIR=str(deep), FORKTASK_IDLE_EXIT="120")
    assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor")] * 2
    (address,) = [path for path in deep.iterdir() if path.is_socket()]
    assert len(os.fsencode(address)) > 107
    assert len(site.supervisors()) == 1


def test_whoever_reads_the_caller_s_output_is_not_kept_waiting(site: Site) -> None:
    program = """
    class LateTask(Task):
        def execute(self, status):
            print("into the log")
            while not os.path.exists("go"):
                pass

    if __name__ == "__main__":
        print(json.dumps([str(LateTask.using(start_method=method).initiate().id) for method in sys.argv[1:]]))
    """
    site.write("program.py", REPORT + program)
    done = subprocess.run(
        ["sh", "-c", 'echo "[$("$0" program.py forkserver spawn fork 2>&1)]" | cat', sys.executable],
        cwd=site.folder,
        env={**site.environ, "FORKTASK_IDLE_EXIT": "30"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ids = json.loads(done.stdout)[0]
    states = site.until(lambda: [row.state for row in site.rows()] == [State.RUNNING] * 3, "three tasks")
    assert states
    for process in site.processes():
        for number, name in enumerate(("/dev/null", "/dev/null")):
            if "supervisor" in process.cmdline() and process.pid in {one.pid for one in site.supervisors()}:
                assert os.readlink(f"/proc/{process.pid}/fd/{number}") == name
    (site.folder / "go").touch()
    assert {row.state for row in site.until_final(*ids)} == {State.COMPLETED}


def test_the_log_of_a_supervisor_is_capped(site: Site) -> None:
    program = """
    import forktask
    if forktask.in_supervisor():
        sys.stderr.write("x" * 3_000_000)
        sys.stderr.flush()

    if __name__ == "__main__":
        told(WhereTask.initiate())
    """
    site.run(REPORT + program, FORKTASK_IDLE_EXIT="60")
    (log,) = site.runtime_dir.glob("*.log")
    site.until(lambda: log.stat().st_size < 1024 * 1024, "a shorter log")
    (supervisor,) = site.supervisors()
    assert os.path.samefile(f"/proc/{supervisor.pid}/fd/2", log)


def test_a_supervisor_is_an_orphan_of_its_own_session(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        told(WhereTask.initiate())
    """
    site.run(REPORT + program, FORKTASK_IDLE_EXIT="60")
    (supervisor,) = site.supervisors()
    assert os.getsid(supervisor.pid) == supervisor.pid
    assert supervisor.ppid() != os.getpid()
    assert psutil.Process(supervisor.ppid()).name() != "sh"
