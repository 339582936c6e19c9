"""Shell arguments stand on the command line and arrive; hooks run in the caller, before there is a row."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import psutil
import pytest

from forktask import ForkTaskError, LiveStatus, StartMethod, State, Task
from forktask.errors import EnqueueError, ShellArgumentsWarning
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
            found = [str(found.id) for found in TaskStatus.find()]
            return {"opened": self.opened, "found": found, "verb": WhereTask.initiate().wait(40).result["verb"]}

    if __name__ == "__main__":
        from forktask.store import Store
        Store(OTHER).create_tables()
        here = OtherTask.initiate().wait(50)
        print(json.dumps([here.state, here.result, [a.traceback for a in here.attempts()]]))
    """
    state, result, tracebacks = site.run(REPORT + program)
    assert [state, tracebacks] == [State.COMPLETED, [None]]
    verb = result.pop("verb")
    assert result == {"opened": [], "found": []}, "it looked into the database of the settings"
    assert verb == "supervisor", "what it initiates runs from the same database"
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


@pytest.mark.parametrize("wrong", [["a", 1], "one text", ["a\0b"], None, ["x" * 1000] * 100, ["\ud800"]])
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
