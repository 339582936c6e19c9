"""The traps of the design that concern processes, each caused for real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from forktask import State
from tests.process.site import REPORT, ROOT, Site, open_site


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


def test_no_runner_outlives_a_supervisor_that_is_killed_right_after_the_fork(site: Site) -> None:
    """Each supervisor of 100 dies at the end of its fork; orphans come to this program, which waits for them."""
    program = """
    import ctypes, signal, socket, uuid
    from contextlib import nullcontext
    from forktask import Settings, channel
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
        fleet = Fleet(settings, Preloaded(reference="", context=nullcontext), lambda charge: None)
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
    ends = site.run(REPORT + program)
    assert len(ends) == 200
    assert ends.count(-signal.SIGKILL) >= 100
    assert set(ends) <= {-signal.SIGKILL, 71}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_message_of_another_user_is_not_taken(site: Site) -> None:
    program = """
    if __name__ == "__main__":
        told(WhereTask.initiate())
        if len(sys.argv) > 1:
            sys.exit()
        from forktask import registry
        from forktask.call import Call, row_of
        row = row_of(Call(definition=registry.get("program.WhereTask"), settings={}, private={"a": 1}), "spawn")
        from forktask.store import Store
        Store(os.environ["FORKTASK_DATABASE_URL"]).insert(row)
        print(json.dumps(str(row.id)))
    """
    status_id = site.run(REPORT + program, FORKTASK_IDLE_EXIT="60")
    path = next(path for path in site.runtime_dir.iterdir() if path.is_socket())
    for folder in (path, path.parent, *path.parents[1:4]):
        os.chmod(folder, 0o777)
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
    told = site.run(REPORT + program, FORKTASK_RUNTIME_DIR=str(deep))
    assert [(state, verb) for state, verb, _ in told] == [(State.COMPLETED, "supervisor")] * 2
    (address,) = [path for path in deep.iterdir() if path.is_socket()]
    assert len(os.fsencode(address)) > 107
    assert len(site.supervisors()) == 1


def test_an_application_that_uwsgi_loaded_has_stable_names_and_a_python_for_its_supervisor(site: Site) -> None:
    site.write("served.py", REPORT)
    program = """
    import os, sys, json
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    name = "uwsgi_file_" + os.path.abspath("served.py").replace("/", "_").replace(".", "_")
    sys.executable = "/usr/local/bin/uwsgi"
    spec = spec_from_loader(name, SourceFileLoader(name, os.path.abspath("served.py")))
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    if __name__ == "__main__":
        from forktask.runtime import Runtime
        from forktask import load_settings
        runtime = Runtime(load_settings({}, os.environ), application=module)
        Runtime.use(lambda: runtime)
        status = module.WhereTask.initiate().wait(50)
        print(json.dumps([status.task, status.state, status.result]))
    """
    task, state, result = site.run(program, name="uwsgi.py", FORKTASK_APP="served:")
    assert (task, state) == ("served.WhereTask", State.COMPLETED)
    assert result["verb"] == "supervisor"


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


def described(site: Site) -> list[Any]:
    program = """
    import tempfile

    class SelfTask(Task):
        def execute(self, status):
            mask = os.umask(0)
            os.umask(mask)
            return {"cwd": os.getcwd(), "umask": mask, "variable": os.environ.get("VARIABLE"), "path": sys.path}

    if __name__ == "__main__":
        os.mkdir("folder")
        same = SelfTask.initiate
        from forktask.runtime import Runtime
        from forktask import load_settings
        runtimes = []
        Runtime.use(lambda: runtimes[-1])

        def one():
            runtimes.append(Runtime(load_settings({}, os.environ)))
            status = SelfTask.initiate().wait(50)
            return [str(status.row.supervisor_id), status.result, status.error]

        told = [one(), one()]
        os.environ["VARIABLE"] = "set"
        told.append(one())
        os.umask(0o027)
        told.append(one())
        sys.path.append("/somewhere")
        told.append(one())
        os.chdir("folder")
        told.append(one())
        os.environ.update({"WERKZEUG_RUN_MAIN": "true", "GUNICORN_FD": "7", "INVOCATION_ID": "1", "SHLVL": "9"})
        told.append(one())
        print(json.dumps(told))
    """
    found: list[Any] = site.run(REPORT + program, FORKTASK_APP=f"file:{site.folder}/program.py:", FORKTASK_VERSION="1")
    return found


def test_callers_share_a_supervisor_unless_they_differ_in_what_a_task_would_notice(site: Site) -> None:
    first, again, variable, umask, path, folder, volatile = described(site)
    assert first[0] == again[0], "nothing differs"
    ids = [first[0], variable[0], umask[0], path[0], folder[0]]
    assert len(set(ids)) == len(ids)
    assert volatile[0] == folder[0], "what a server or a shell sets for itself makes no difference"
    assert (first[1]["variable"], variable[1]["variable"]) == (None, "set")
    assert (umask[1]["umask"], first[1]["umask"] == 0o027) == (0o027, False)
    assert ("/somewhere" in path[1]["path"], "/somewhere" in first[1]["path"]) == (True, False)
    assert folder[1]["cwd"] == str(site.folder / "folder")


def test_variables_of_the_server_do_not_reach_tasks(site: Site) -> None:
    program = """
    class EnvironTask(Task):
        def execute(self, status):
            return dict(os.environ)

    if __name__ == "__main__":
        statuses = [EnvironTask.using(start_method=method).initiate().wait(50) for method in ("forkserver", "spawn")]
        print(json.dumps([status.result for status in statuses]))
    """
    server = {
        "WERKZEUG_RUN_MAIN": "true",
        "WERKZEUG_SERVER_FD": "3",
        "GUNICORN_PID": "1",
        "GUNICORN_FD": "5",
        "UWSGI_RELOADS": "1",
        "LISTEN_FDS": "1",
        "NOTIFY_SOCKET": "/run/x",
        "FLASK_RUN_FROM_CLI": "true",
        "SERVER_SOFTWARE": "gunicorn",
    }
    for environ in site.run(REPORT + program, **server, OWN="kept"):
        assert not environ.keys() & server.keys()
        assert environ["OWN"] == "kept"
        assert environ["PYTHONPATH"] == str(ROOT)


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


THREADS = """
    import threading, time, forktask
    if AVOIDED or not forktask.in_supervisor():
        threading.Thread(target=time.sleep, args=(3600,), name="a-monitor", daemon=True).start()

    if __name__ == "__main__":
        told(WhereTask.initiate())
"""


def test_an_application_with_threads_after_its_import_gets_spawned_runners_and_is_told_which(site: Site) -> None:
    told = site.run(REPORT + THREADS.replace("AVOIDED", "True"))
    assert told == [[State.COMPLETED, "run", None]]
    assert "threads=a-monitor run after the import" in site.log()
    assert "forktask.in_supervisor()" in site.log()


def test_an_application_that_leaves_its_threads_out_in_the_supervisor_is_forked(site: Site) -> None:
    told = site.run(REPORT + THREADS.replace("AVOIDED", "False"))
    assert told == [[State.COMPLETED, "supervisor", None]]
    assert "threads=" not in site.log()


def test_a_task_that_starts_a_task_uses_the_same_supervisor(site: Site) -> None:
    program = """
    class OuterTask(Task):
        def execute(self, status):
            return str(WhereTask.initiate().wait(50).row.supervisor_id)

    if __name__ == "__main__":
        statuses = [OuterTask.using(start_method=method).initiate().wait(50) for method in ("forkserver", "spawn")]
        print(json.dumps([[status.state, status.result == str(status.row.supervisor_id)] for status in statuses]))
    """
    assert site.run(REPORT + program) == [[State.COMPLETED, True]] * 2
    assert len(site.supervisors()) == 1


def test_a_program_that_starts_tasks_when_it_is_imported_does_not_start_them_for_ever(site: Site) -> None:
    program = """
    status = WhereTask.initiate().wait(50)
    print(json.dumps([status.state, status.cause, [a.traceback for a in status.attempts()]]))
    """
    state, cause, details = site.run(REPORT + program)
    assert (state, cause) == (State.FAILED, "launch")
    assert "a task is started while its module is imported" in details[0]
    assert len(site.rows()) == 1


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
