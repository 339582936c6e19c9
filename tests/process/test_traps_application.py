"""The traps of the design in what an application and its surroundings are, each caused for real."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forktask import State
from tests.process.site import REPORT, ROOT, Site, open_site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with open_site(tmp_path) as site:
        yield site


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
    assert site.run(REPORT + program, FORKTASK_IDLE_EXIT="120") == [[State.COMPLETED, True]] * 2
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
