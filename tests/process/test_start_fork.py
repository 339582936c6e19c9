"""Start method `fork`: the task is born from the very process that orders it, and harms nothing in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forktask import Cause, State
from tests.databases import database_url
from tests.process.site import REPORT, Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


def test_fork_is_refused_in_a_process_with_threads_before_a_row_exists(site: Site) -> None:
    program = """
    import threading
    from forktask import ForkTaskError
    if __name__ == "__main__":
        release = threading.Event()
        thread = threading.Thread(target=release.wait)
        thread.start()
        try:
            WhereTask.using(start_method="fork").initiate()
        except ForkTaskError as error:
            print(json.dumps([type(error).__name__, str(error)]))
        release.set()
        thread.join()
    """
    name, text = site.run(REPORT + program)
    assert name == "LaunchError"
    assert "one thread; this one has 2: use forkserver" in text
    site.store.create_tables()
    assert site.rows() == []


def test_two_closures_of_one_name_each_run_as_themselves_under_fork(site: Site) -> None:
    program = """
    def made(value, file):
        @task(start_method="fork")
        def closure(status):
            file.write(f"{value}\\n")
            file.flush()
            return {"verb": value}
        return closure

    if __name__ == "__main__":
        with open("written", "w") as file:
            first, second = made("first", file), made("second", file)
            told(first.initiate(), second.initiate(), first.initiate())
    """
    told = site.run(REPORT + program)
    assert [verb for _, verb, _ in told] == ["first", "second", "first"]
    assert sorted((site.folder / "written").read_text().split()) == ["first", "first", "second"]


def test_a_closure_is_retried_under_fork(site: Site) -> None:
    program = """
    from forktask import Retry
    if __name__ == "__main__":
        word = "closed over"

        @task(start_method="fork", retry=Retry(attempts=3, backoff=0.01))
        def closure(status):
            if status.attempt < 3:
                raise OSError(word)
            return {"verb": word}

        told(closure.initiate())
    """
    assert site.run(REPORT + program) == [[State.COMPLETED, "closed over", None]]
    (row,) = site.rows()
    assert row.attempt == 3
    assert [attempt.cause for attempt in site.store.attempts(row.id)] == [Cause.EXCEPTION, Cause.EXCEPTION, None]


def test_closures_above_the_limit_fail_however_fast_they_come(site: Site) -> None:
    program = """
    from collections import Counter
    from pathlib import Path

    def main():
        @task(start_method="fork")
        def closure(status):
            while not Path("go").exists():
                time.sleep(0.01)

        statuses = [closure.initiate() for _ in range(12)]
        Path("go").touch()
        print(json.dumps(Counter(f"{status.wait(50).state} {status.cause}" for status in statuses)))

    if __name__ == "__main__":
        import time
        main()
    """
    ends = site.run(REPORT + program, FORKTASK_MAX_RUNNING="2")
    assert ends == {"completed None": 2, "failed launch": 10}


def test_the_dead_take_no_place_from_closures(site: Site) -> None:
    program = """
    import signal, time
    from forktask import process
    from forktask.proof import identity_of

    def main():
        @task(start_method="fork")
        def closure(status):
            time.sleep(60 if status.settings else 0)

        first = closure.initiate({"sleeps": True})
        while not first.refresh().is_running:
            time.sleep(0.01)
        supervisor = supervisor_of(first)
        os.kill(supervisor.pid, signal.SIGKILL)
        while process.is_alive(identity_of(supervisor)):  # killed, it still lives until it is scheduled
            time.sleep(0.01)
        print(json.dumps([closure.initiate().wait(50).state, first.refresh().state]))

    def supervisor_of(status):
        from forktask.runtime import current
        return current().store.supervisor(status.row.supervisor_id)

    if __name__ == "__main__":
        main()
    """
    assert site.run(REPORT + program, FORKTASK_MAX_RUNNING="1") == ["completed", "lost"]


def test_cancel_of_a_closure_starts_no_other_supervisor(site: Site) -> None:
    program = """
    import time

    def main():
        @task(start_method="fork")
        def closure(status):
            while True:
                status.update(1, "on")
                time.sleep(0.01)

        status = closure.initiate()
        while not status.refresh().is_running:
            time.sleep(0.01)
        status.cancel().wait(50)
        print(json.dumps(status.state))

    if __name__ == "__main__":
        main()
    """
    assert site.run(REPORT + program) == "cancelled"
    assert not list(site.runtime_dir.glob("*.log")), "an embedded supervisor was started"


def test_no_word_of_a_task_reaches_the_peer_of_a_socket_of_the_script(site: Site) -> None:
    program = """
    import socket

    @task(start_method="fork")
    def speaks(status):
        try:
            ours.send(b"from the task")
        except OSError:
            return {"verb": "refused"}

    if __name__ == "__main__":
        ours, peer = socket.socketpair()
        speaks.initiate().wait(50)
        ours.send(b"from the script")
        print(json.dumps(peer.recv(1000).decode()))
    """
    assert site.run(REPORT + program) == "from the script"
    assert [row.result for row in site.rows()] == [{"verb": "refused"}]


def test_a_script_s_own_sqlite_connection_outlives_the_fork_and_the_task_opens_another(site: Site) -> None:
    program = """
    import sqlite3
    own = sqlite3.connect("own.sqlite", isolation_level=None)
    own.execute("PRAGMA journal_mode=WAL")
    own.execute("CREATE TABLE IF NOT EXISTS t (x)")

    @task(start_method="fork")
    def writes(status):
        another = sqlite3.connect("own.sqlite", isolation_level=None)
        another.execute("INSERT INTO t VALUES ('runner')")
        status.update(message="first")
        while not os.path.exists("closed"):
            pass
        another.execute("INSERT INTO t VALUES ('runner, after the parent has closed')")
        return where()

    if __name__ == "__main__":
        own.execute("INSERT INTO t VALUES ('before')")
        status = writes.initiate()
        while status.refresh().message != "first" and not status.is_final:
            pass
        own.execute("INSERT INTO t VALUES ('between')")
        own.close()
        open("closed", "w").close()
        status.wait(50)
        own = sqlite3.connect("own.sqlite")
        rows = [row[0] for row in own.execute("SELECT x FROM t")]
        check = own.execute("PRAGMA integrity_check").fetchone()
        print(json.dumps([status.state, [a.traceback for a in status.attempts()], rows, check]))
    """
    state, tracebacks, rows, check = site.run(REPORT + program)
    assert [state, tracebacks] == [State.COMPLETED, [None]]
    assert rows == ["before", "runner", "between", "runner, after the parent has closed"]
    assert check == ["ok"]


def test_a_script_s_own_postgresql_connection_outlives_the_fork(tmp_path: Path) -> None:
    program = """
    from sqlalchemy import create_engine, text
    engine = create_engine(os.environ["FORKTASK_DATABASE_URL"])

    @task(start_method="fork")
    def says_good_bye(status):
        own.connection.dbapi_connection.pgconn.finish()
        return where()

    if __name__ == "__main__":
        own = engine.connect()
        backend = own.scalar(text("SELECT pg_backend_pid()"))
        statuses = [says_good_bye.initiate().wait(50) for _ in range(2)]
        same = own.scalar(text("SELECT pg_backend_pid()")) == backend
        print(json.dumps([same, [[s.state, [a.traceback for a in s.attempts()]] for s in statuses]]))
    """
    with database_url("postgresql", tmp_path) as url, open_site(tmp_path, url) as site:
        same, states = site.run(REPORT + program)
    assert states == [[State.COMPLETED, [None]]] * 2
    assert same


def test_a_completion_hook_starts_a_task_by_fork(site: Site) -> None:
    program = """
    from flask import Flask
    from forktask.web import ForkTask, full_focus

    app = Flask("shop")
    app.config.update(SECRET_KEY="only for tests", FORKTASK_START_METHOD="fork")
    forktask = ForkTask(app)
    begun = []

    @forktask.on_complete
    def hook(status):
        begun.append(WhereTask.initiate())
        return "/hook"

    @app.post("/pay")
    def pay():
        return full_focus(WhereTask.initiate(), next_url="/thanks", acceptable_wait=50, on_complete=hook)

    if __name__ == "__main__":
        print(app.test_client().post("/pay").location, file=sys.stderr)
        with app.app_context():
            told(*begun)
    """
    told = site.run(REPORT + program)
    assert [verb for _, verb, _ in told] == ["program"]
