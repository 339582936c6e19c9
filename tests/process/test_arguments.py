"""Shell arguments stand on the command line, private arguments nowhere; each arrives."""

from __future__ import annotations

import json
import signal
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import psutil
import pytest

from forktask import Cause, ForkTaskError, LiveStatus, ShellArgumentsWarning, StartMethod, State, Task
from forktask.errors import EnqueueError
from tests.process.site import REPORT, Site, open_site
from tests.runtimes import MakeRuntime

ODD = ["two words", "it's", 'say "so"', "new\nline", "", "zażółć 🦊", "-c", "--", "$HOME `id` ; * \\", "x" * 4000]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


SHELL = """
    from forktask import Retry
    ARGUMENTS = json.load(open("arguments.json"))

    class ShellTask(Task):
        shell_arguments_encrypted = True
        retry = Retry(attempts=2, backoff=0.01)

        @classmethod
        def get_shell_arguments(cls):
            return ARGUMENTS

        def prepare(self):
            self.__class__.prepared = list(self.shell_arguments)

        def execute(self, status):
            status.update(1, "runs")
            while not os.path.exists("go"):
                pass
            if status.settings.get("fails") and status.attempt == 1:
                raise OSError
            return {**where(), "shell": list(self.shell_arguments), "prepared": self.prepared}
"""


def write_arguments(site: Site, arguments: Sequence[str]) -> None:
    (site.folder / "arguments.json").write_text(json.dumps(list(arguments)))


def test_shell_arguments_stand_on_the_command_line_and_arrive_as_they_are(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        print(json.dumps(str(ShellTask.initiate().id)))
    """
    write_arguments(site, ODD)
    status_id = site.run(REPORT + SHELL + program)
    row = site.until(lambda: (row := site.row(status_id)).message == "runs" and row, "the task")
    assert row.runner_pid is not None
    command = Path(f"/proc/{row.runner_pid}/cmdline").read_bytes().decode().split("\0")[:-1]
    assert command[-len(ODD) - 1 :] == [status_id, *ODD]
    assert psutil.Process(row.runner_pid).cmdline()[-len(ODD) :] == ODD
    (site.folder / "go").touch()
    (row,) = site.until_final(status_id)
    assert row.state is State.COMPLETED, [attempt.traceback for attempt in site.store.attempts(row.id)]
    assert row.result["shell"] == row.result["prepared"] == ODD
    assert row.result["verb"] == "run"


def test_many_shell_arguments_survive_a_retry(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        print(json.dumps(str(ShellTask.initiate({"fails": True}).id)))
    """
    many = [f"argument number {number}" for number in range(2000)]
    write_arguments(site, many)
    (site.folder / "go").touch()
    status_id = site.run(REPORT + SHELL + program)
    (row,) = site.until_final(status_id)
    assert (row.state, row.attempt) == (State.COMPLETED, 2)
    assert row.result["shell"] == many


def test_arguments_that_no_message_holds_are_said_to_be_too_long(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        status = ShellTask.initiate()
        print(json.dumps([status.state, status.cause, [a.traceback for a in status.attempts()]]))
    """
    write_arguments(site, ["\x01" * 60_000])
    state, cause, details = site.run(REPORT + SHELL + program)
    assert (state, cause) == (State.FAILED, Cause.LAUNCH)
    assert "with a task's arguments, is too long" in details[0]


@pytest.mark.xfail(strict=True, reason="an empty list of shell arguments counts as none")
def test_a_task_whose_hook_returns_nothing_still_starts_by_spawn(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        print(json.dumps(str(ShellTask.initiate().id)))
    """
    write_arguments(site, [])
    (site.folder / "go").touch()
    (row,) = site.until_final(site.run(REPORT + SHELL + program))
    assert row.result["verb"] == "run"
    assert row.result["prepared"] == []


def test_prepare_runs_before_the_database_is_opened_and_says_which(site: Site) -> None:
    program = """
    OTHER = "sqlite:///" + os.path.abspath("other.sqlite")

    class OtherTask(Task):
        shell_arguments_encrypted = True

        @classmethod
        def get_shell_arguments(cls):
            return [OTHER]

        def prepare(self):
            opened = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if n != "3"
                      and os.path.exists(f"/proc/self/fd/{n}")]
            self.__class__.opened = [name for name in opened if "sqlite" in name]
            return self.shell_arguments[0]

        def execute(self, status):
            return {"opened": self.opened, "found": [str(found.id) for found in TaskStatus.find()]}

    if __name__ == "__main__":
        from forktask.store import Store
        Store(OTHER).create_tables()
        here = OtherTask.initiate().wait(50)
        print(json.dumps([here.state, here.result, [a.traceback for a in here.attempts()]]))
    """
    state, result, tracebacks = site.run(REPORT + program)
    assert [state, tracebacks] == [State.COMPLETED, [None]]
    assert result == {"opened": [], "found": []}, "it looked into the database of the settings"
    (row,) = site.rows()
    assert row.state is State.COMPLETED, "the supervisor writes where the caller looks"


def define_open() -> type[Task]:
    class OpenTask(Task):
        @classmethod
        def get_shell_arguments(cls) -> Sequence[str]:
            return ["in the open"]

        def execute(self, status: LiveStatus) -> None:
            return

    return OpenTask


def test_shell_arguments_that_everybody_can_read_are_warned_of_where_the_class_is() -> None:
    with pytest.warns(ShellArgumentsWarning) as caught:
        define_open()
    (warning,) = caught
    assert "OpenTask.get_shell_arguments(): every user of the host can read" in str(warning.message)
    assert "shell_arguments_encrypted = True" in str(warning.message)
    assert "get_private_arguments()" in str(warning.message)
    assert warning.filename == __file__


def test_encrypted_shell_arguments_and_private_ones_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class SealedTask(Task):
            shell_arguments_encrypted = True

            @classmethod
            def get_shell_arguments(cls) -> Sequence[str]:
                return ["gAAAA…"]

            @classmethod
            def get_private_arguments(cls) -> Mapping[str, object]:
                return {"key": "secret"}

            def execute(self, status: LiveStatus) -> None:
                return

    assert SealedTask._configured.shell_arguments is not None


def test_enqueue_refuses_a_task_with_arguments_and_says_why(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(start_method=StartMethod.INLINE)
    runtime.store.create_tables()
    with pytest.warns(ShellArgumentsWarning):
        task = define_open()
    with pytest.raises(EnqueueError, match="OpenTask has shell arguments, which are stored nowhere"):
        task.enqueue()
    assert runtime.store.find() == []


@pytest.mark.parametrize("wrong", [["a", 1], "one text", ["a\0b"], None, ["x" * 1000] * 100])
def test_arguments_that_no_command_line_holds_leave_no_row(make_runtime: MakeRuntime, wrong: object) -> None:
    runtime = make_runtime(start_method=StartMethod.INLINE)
    runtime.store.create_tables()

    class WrongTask(Task):
        shell_arguments_encrypted = True

        @classmethod
        def get_shell_arguments(cls) -> Sequence[str]:
            return wrong  # type: ignore[return-value]

        def execute(self, status: LiveStatus) -> None:
            return

    with pytest.raises((ForkTaskError, TypeError)):
        WrongTask.initiate()
    assert runtime.store.find() == []


@pytest.mark.parametrize("hook", ["get_shell_arguments", "get_private_arguments"])
def test_an_exception_in_a_hook_reaches_the_caller_and_leaves_no_row(make_runtime: MakeRuntime, hook: str) -> None:
    runtime = make_runtime(start_method=StartMethod.INLINE)
    runtime.store.create_tables()

    def broken(cls: type[Task]) -> None:
        raise LookupError("no key")

    body = {hook: classmethod(broken), "execute": lambda self, status: None, "shell_arguments_encrypted": True}
    task = cast("type[Task]", type("BrokenTask", (Task,), {**body, "__module__": __name__}))
    with pytest.raises(LookupError, match="no key"):
        task.initiate()
    assert runtime.store.find() == []


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
    """Return everywhere that the secret can be read from outside the memory of its processes."""
    found = []
    for process in site.processes():
        for name in ("cmdline", "environ", "comm", "status"):
            if secret in Path(f"/proc/{process.pid}/{name}").read_bytes():
                found.append(f"{name} of {process.pid}")
        found += [f"map {path} of {process.pid}" for path in mapped_files(process.pid) if holds(path, secret)]
        found += [f"fd {path} of {process.pid}" for path in open_files(process.pid) if holds(path, secret)]
    return found + [str(path) for path in site.folder.rglob("*") if path.name != "secret" and holds(path, secret)]


def mapped_files(pid: int) -> set[Path]:
    """Return the writable files that a process maps: memory that is also a file."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {Path(line.split(maxsplit=5)[5]) for line in lines if line.split()[1][1] == "w" and line.count("/")}


def open_files(pid: int) -> list[Path]:
    return [path for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_file()]


def holds(path: Path, secret: bytes) -> bool:
    try:
        return path.is_file() and secret in path.read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_private_arguments_arrive_and_are_nowhere_to_be_read(site: Site, method: str) -> None:
    secret = "wombat-" + "7b31" * 8
    (site.folder / "secret").write_text(secret.encode().hex())
    status_id = site.run(PRIVATE_PROGRAM, method, FORKTASK_LOG_LEVEL="DEBUG")
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


PRIVATE_PROGRAM = REPORT + PRIVATE


def test_a_secret_in_a_file_of_the_site_is_found(site: Site) -> None:
    (site.folder / "leak.log").write_bytes(b"...wombat...")
    assert traces(site, b"wombat") == [str(site.folder / "leak.log")]


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
