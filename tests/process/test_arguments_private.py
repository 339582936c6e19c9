"""Private arguments reach `execute` and nothing else; a row whose arguments are gone says so."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from forktask import Cause, State
from tests.process.site import REPORT, Site, open_site
from tests.store.forking import forked


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


PRIVATE = """
    from forktask import Retry
    SECRET = bytes.fromhex(open("secret").read()).decode()

    class SecretTask(Task):
        retry = Retry(attempts=2, backoff=0.01)

        @classmethod
        def get_private_arguments(cls):
            return {"key": SECRET, "list": [1, None, {"deep": "é"}]}

        def execute(self, status):
            if status.attempt == 1:
                raise OSError("once more")
            status.update(1, "runs")
            while not os.path.exists("go"):
                pass
            assert self.private_arguments == {"key": SECRET, "list": [1, None, {"deep": "é"}]}
            return where()

    if __name__ == "__main__":
        status = SecretTask.using(start_method=sys.argv[1]).initiate()
        print(json.dumps(str(status.id)))
"""


def traces(site: Site, secret: bytes) -> list[str]:
    """Return everywhere that the secret can be read from outside the private memory of its processes.

    Another process looks: to close a file of SQLite's ends the locks that this one has on it, and its connection would
    go on with a log that the next one to write may delete.
    """
    (found,) = forked([lambda: "\n".join(traces_seen(site, secret))])
    return found.splitlines()


def traces_seen(site: Site, secret: bytes) -> list[str]:
    found = []
    for process in site.processes():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found += traces_of(Path(f"/proc/{process.pid}"), secret)
    return found + [str(path) for path in site.folder.rglob("*") if path.name != "secret" and holds(path, secret)]


def traces_of(process: Path, secret: bytes) -> list[str]:
    found = [str(process / name) for name in ("cmdline", "environ") if secret in (process / name).read_bytes()]
    found += [str(path) for path in (process / "fd").iterdir() if holds(path, secret)]
    return found + [f"{process} {name}" for name, content in shared_memory(process) if secret in content]


def shared_memory(process: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what a process shares with others: its mapped files and the page on which it reports."""
    with (process / "mem").open("rb", buffering=0) as memory:
        for line in (process / "maps").read_text().splitlines():
            place, permissions, *_, name = line.split(maxsplit=5)
            if permissions.startswith("rw") and permissions.endswith("s"):
                begin, end = (int(number, 16) for number in place.split("-"))
                memory.seek(begin)
                with suppress(OSError):  # a file that was shortened
                    yield name, memory.read(end - begin)


def holds(path: Path, secret: bytes) -> bool:
    try:
        return path.is_file() and secret in path.read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_private_arguments_arrive_and_are_nowhere_to_be_read(site: Site, method: str) -> None:
    secret = "wombat-" + "7b31" * 8
    (site.folder / "secret").write_text(secret.encode().hex())
    status_id = site.run(REPORT + PRIVATE, method, FORKTASK_LOG_LEVEL="DEBUG")
    row = site.until(lambda: (row := site.row(status_id)).message == "runs" and row, "the second attempt")
    assert row.attempt == 2
    assert len(site.processes()) >= 2
    assert traces(site, secret.encode()) == []
    (site.folder / "go").touch()
    (row,) = site.until_final(status_id)
    assert row.state is State.COMPLETED, [attempt.traceback for attempt in site.store.attempts(row.id)]
    assert traces(site, secret.encode()) == []
    with closing(sqlite3.connect(site.folder / "forktask.sqlite")) as connection:
        dump = "\n".join(connection.iterdump())
    assert str(status_id).replace("-", "") in dump or str(status_id) in dump
    assert secret not in dump


def test_a_secret_that_leaks_is_found(site: Site) -> None:
    """The search sees files, command lines, environments and shared memory."""
    (site.folder / "leak.log").write_bytes(b"...wombat...")
    program = (
        "import mmap; m = mmap.mmap(-1, 4096); m[:6] = bytes.fromhex('776f6d626174'); print('', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, "wombat"],
        env={**site.environ, "LEAK": "wombat"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    folder = f"/proc/{process.pid}"
    expected = [f"{folder}/cmdline", f"{folder}/environ", f"{folder} /dev/zero (deleted)"]
    assert traces(site, b"wombat") == [*expected, str(site.folder / "leak.log")]
    process.communicate(b"\n")


def test_private_arguments_outlast_a_backoff_in_which_the_database_is_away(site: Site) -> None:
    program = """
    from forktask import Retry

    class PatientTask(Task):
        retry = Retry(attempts=2, backoff=0.01)

        @classmethod
        def get_private_arguments(cls):
            return {"key": "kept"}

        def execute(self, status):
            status.update(1, "runs")
            while not os.path.exists("go"):
                pass
            if status.attempt == 1:
                raise OSError
            return self.private_arguments

    if __name__ == "__main__":
        print(json.dumps(str(PatientTask.initiate().id)))
    """
    status_id = site.run(REPORT + program)
    site.until(lambda: site.row(status_id).message == "runs", "the first attempt")
    with closing(sqlite3.connect(site.folder / "forktask.sqlite", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        (site.folder / "go").touch()
        site.until(lambda: "state=queued cause=exception" in site.log(), "the end of the first attempt")
        site.until(lambda: site.log().count("database:") >= 2, "writes in vain")
        connection.execute("ROLLBACK")
    (row,) = site.until_final(status_id)
    assert (row.state, row.attempt, row.result) == (State.COMPLETED, 2, {"key": "kept"})


@pytest.mark.parametrize("moment", ["waits for a place", "waits for its backoff"])
def test_a_row_whose_arguments_died_with_their_keeper_says_so(site: Site, moment: str) -> None:
    program = """
    from forktask import Retry

    class KeptTask(Task):
        retry = Retry(attempts=2, backoff=3600)

        @classmethod
        def get_private_arguments(cls):
            return {"key": 1}

        def execute(self, status):
            if status.settings["fails"]:
                raise OSError
            while True:
                pass

    if __name__ == "__main__":
        statuses = [KeptTask.initiate({"fails": fails}) for fails in json.loads(sys.argv[1])]
        print(json.dumps([str(status.id) for status in statuses]))
    """
    fails = "[false, false]" if moment == "waits for a place" else "[true]"
    ids = site.run(REPORT + program, fails, FORKTASK_MAX_RUNNING="1", FORKTASK_IDLE_EXIT="60")
    waiting = ids[-1]
    site.until(lambda: (row := site.row(waiting)).supervisor_id and row.state is State.QUEUED, "a keeper")
    if moment == "waits for its backoff":
        site.until(lambda: site.row(waiting).attempt == 2, "the backoff")
    (supervisor,) = site.supervisors()
    supervisor.send_signal(signal.SIGKILL)
    site.until(lambda: not site.processes(), "the end of the runner")
    look = """
    if __name__ == "__main__":
        status = TaskStatus.get(sys.argv[1])
        print(json.dumps([status.state, status.cause, status.error, [a.traceback for a in status.attempts()]]))
    """
    state, cause, error, details = site.run(REPORT + look, waiting, name="look.py")
    assert (state, cause) == (State.FAILED, Cause.LAUNCH)
    assert error
    assert "its arguments were in that process alone" in details[-1]


def test_a_row_whose_arguments_never_arrived_is_given_up_after_the_grace(site: Site) -> None:
    program = """
    from forktask import proof

    class KeptTask(Task):
        @classmethod
        def get_private_arguments(cls):
            return {"key": 1}

        def execute(self, status):
            return None

    def die_before_the_message(event, arguments):
        if event == "socket.connect":
            os._exit(0)

    if __name__ == "__main__":
        if len(sys.argv) > 1:
            sys.addaudithook(die_before_the_message)
            KeptTask.initiate()
        proof.LAUNCH_GRACE = 0.5
        status = TaskStatus.find_last().wait(50)
        print(json.dumps([status.state, status.cause, [a.traceback for a in status.attempts()]]))
    """
    assert site.run(REPORT + program, "die") is None
    (row,) = site.rows()
    assert row.state is State.QUEUED
    state, cause, details = site.run(REPORT + program)
    assert (state, cause) == (State.FAILED, Cause.LAUNCH)
    assert "never took it" in details[0]
