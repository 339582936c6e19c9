"""The traps of the design at and after a fork, each caused for real."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from forktask import State
from tests.process.site import REPORT, Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


FORKS = """
    import json, os, sys

    def note(kind, value):
        with open("forks", "a") as file:
            file.write(json.dumps([kind, value]) + "\\n")

    def open_sqlite():
        names = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        return [os.readlink(name) for name in names if os.path.islink(name) and "sqlite" in os.readlink(name)]

    # Registered before those of forktask, and so called after them.
    os.register_at_fork(before=lambda: note("sqlite", open_sqlite()))

    def count_threads(event, arguments):
        if event == "os.fork":
            note("threads", len(os.listdir("/proc/self/task")))
            if open("/proc/self/comm").read() == "nursery\\n":  # where functions to call before a fork are called once
                note("sqlite", open_sqlite())

    sys.addaudithook(count_threads)
"""
BUSY = """
    class BusyTask(WhereTask):
        def execute(self, status):
            for number in range(20):
                status.update(number)
            return where()
"""


@pytest.mark.parametrize("method", ["forkserver", "fork"])
def test_every_fork_of_ours_is_single_threaded_and_has_no_sqlite_open(site: Site, method: str) -> None:
    program = """
    if __name__ == "__main__":
        statuses = [BusyTask.initiate() for _ in range(5)]
        told(*statuses)
    """
    more = {"FORKTASK_SAMPLE_INTERVAL": "0.01", "FORKTASK_START_METHOD": method}
    assert {state for state, _, _ in site.run(FORKS + REPORT + BUSY + program, **more)} == {State.COMPLETED}
    forks = [json.loads(line) for line in (site.folder / "forks").read_text().splitlines()]
    assert len(forks) >= 10
    assert [fork for fork in forks if fork not in (["threads", 1], ["sqlite", []])] == []


DYING = """
    import ctypes, signal, socket, uuid
    from contextlib import nullcontext
    from forktask import Settings, channel
    from forktask.store import Store
    from forktask.supervisor.fleet import Fleet
    from forktask.supervisor.preload import Preloaded

    class ForEverTask(Task):
        def execute(self, status):
            while True:
                signal.pause()

    def socketpair(real=socket.socketpair):
        ours, theirs = real()
        order = {"id": str(uuid.uuid4()), "task": "program.ForEverTask", "settings": {}, "attempt": 1}
        channel.send(ours, order)  # there already when the runner is born
        return ours, theirs

    def supervise():
        socket.socketpair = socketpair
        fleet = Fleet(
            settings=settings,
            store=Store(settings.database_url, supervisor=True),
            preloaded=Preloaded(reference="", context=nullcontext),
            supervisor_id=uuid.uuid4(),
            watch=lambda charge: None,
        )
        os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGKILL))
        fleet.take_spare()

    if __name__ == "__main__":
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        settings = Settings(database_url=os.environ["FORKTASK_DATABASE_URL"])
        ends = []
        for _ in range(100):
            if os.fork() == 0:
                try:
                    supervise()
                finally:
                    os._exit(1)
            for _ in range(2):
                signal.alarm(20)
                ends.append(os.waitstatus_to_exitcode(os.wait()[1]))
        print(json.dumps(ends))
"""


def test_no_runner_outlives_a_supervisor_that_is_killed_right_after_the_fork(site: Site) -> None:
    """Each supervisor of 100 dies at the end of its fork; orphans come to this program, which waits for them."""
    ends = site.run(REPORT + DYING)
    assert len(ends) == 200
    assert ends.count(-signal.SIGKILL) >= 100
    assert set(ends) <= {-signal.SIGKILL, 71}


def test_the_wall_clock_may_step_and_no_task_is_called_lost(site: Site) -> None:
    program = """
    class LongTask(Task):
        def execute(self, status):
            status.update(1, "runs")
            while not os.path.exists("go"):
                pass

    if __name__ == "__main__":
        from forktask import clock, process
        status = LongTask.initiate()
        while status.refresh().message != "runs":
            pass
        states, me = [], []
        for step in (0, 86400, -86400, 3e9, -1e9):
            clock.shift(step)
            me.append(process.identify().start_ticks)
            states += [TaskStatus.get(status.id).state, TaskStatus.find()[0].state]
        clock.shift(0)
        open("go", "w").close()
        print(json.dumps([states, len(set(me)), status.wait(50).state]))
    """
    states, identities, end = site.run(REPORT + program, FORKTASK_LOST_AFTER="0.1", FORKTASK_HEARTBEAT_INTERVAL="30")
    assert (set(states), identities, end) == ({State.RUNNING}, 1, State.COMPLETED)


def test_the_caller_gets_no_zombie_and_no_sigchld_from_tasks(site: Site) -> None:
    program = """
    import signal
    heard = []

    class LateTask(Task):
        def execute(self, status):
            while not os.path.exists("go"):
                pass

    if __name__ == "__main__":
        signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
        before = WhereTask.initiate().wait(50)
        started = len(heard)
        late = LateTask.initiate()
        statuses = [WhereTask.initiate() for _ in range(5)]
        for status in statuses:
            status.wait(50)
        try:
            os.waitpid(-1, os.WNOHANG)
            children = True
        except ChildProcessError:
            children = False
        open("go", "w").close()
        late.wait(50)
        states = [before.state, late.state, *[status.state for status in statuses]]
        print(json.dumps([started, len(heard) - started, children, states]))
    """
    started, later, children, states = site.run(REPORT + program)
    assert started <= 1, "the shell that begins the supervisor, and nothing else"
    assert (later, children) == (0, False)
    assert set(states) == {State.COMPLETED}


def test_signals_that_the_caller_ignores_or_blocks_are_not_those_of_the_supervisor(site: Site) -> None:
    program = """
    import signal
    if __name__ == "__main__":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1})
        told(WhereTask.initiate(), WhereTask.using(start_method="spawn").initiate())
    """
    told = site.run(REPORT + program, FORKTASK_IDLE_EXIT="60")
    assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor"), (State.COMPLETED, "run")]
    (supervisor,) = site.supervisors()
    supervisor.send_signal(signal.SIGTERM)
    site.until(lambda: not site.processes(), "the end of the supervisor")


def test_runners_are_clean_places(site: Site) -> None:
    """Random numbers differ, the collector's heap is frozen, memory is given up first, no signal handler is left."""
    program = """
    import gc, numpy, random, signal
    random.seed(1)
    signal.signal(signal.SIGUSR1, lambda *_: None)

    class CleanTask(Task):
        def execute(self, status):
            return {
                "random": random.random(),
                "numpy": numpy.random.seeded,
                "frozen": gc.get_freeze_count(),
                "score": open("/proc/self/oom_score_adj").read().strip(),
                "handler": str(signal.getsignal(signal.SIGUSR1)),
                "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
                "sockets": [name for n in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{n}")
                            and (name := os.readlink(f"/proc/self/fd/{n}")).startswith("socket")],
                "leads": os.getsid(0) == os.getpid() == os.getpgid(0),
            }

    if __name__ == "__main__":
        statuses = [CleanTask.initiate().wait(50) for _ in range(3)]
        print(json.dumps([status.result for status in statuses]))
    """
    site.write("numpy.py", "class random:\n    seeded = 0\n    def seed():\n        random.seeded += 1\n")
    results = site.run(REPORT + program)
    assert len({result["random"] for result in results}) == 3
    for result in results:
        assert result["numpy"] == 1
        assert result["frozen"] > 1000
        assert result["score"] == "500"
        assert (result["handler"], result["blocked"]) == (str(signal.SIG_DFL), 0)
        assert len(result["sockets"]) == 1, "the channel to the supervisor"
        assert result["leads"]


def test_files_that_the_application_opens_when_it_is_imported_stay_open_in_runners(site: Site) -> None:
    program = """
    written = [open(f"written.{number}", "a") for number in range(3)]

    class WritingTask(Task):
        def execute(self, status):
            for file in written:
                file.write("by a task\\n")
                file.flush()
            return where()

    if __name__ == "__main__":
        told(WritingTask.initiate())
    """
    assert site.run(REPORT + program)[0][0] == State.COMPLETED
    assert [(site.folder / f"written.{number}").read_text() for number in range(3)] == ["by a task\n"] * 3


def test_files_of_a_module_that_the_supervisor_learns_later_stay_open_in_runners(site: Site) -> None:
    site.write(
        "later.py",
        """
        from forktask import Task

        written = open("written", "a")

        class LaterTask(Task):
            def execute(self, status):
                written.write("by a task\\n")
                written.flush()
        """,
    )
    program = """
    if __name__ == "__main__":
        WhereTask.initiate().wait(50)
        from later import LaterTask
        told(LaterTask.initiate())
    """
    assert site.run(REPORT + program)[0][0] == State.COMPLETED, site.rows()[-1]
    assert (site.folder / "written").read_text() == "by a task\n"
