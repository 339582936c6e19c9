"""However the program was started, another interpreter imports the same application with the same tasks."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.unit.fresh import ZOO, Fresh, environment
from tests.waiting import wait_until

BIN = Path(sys.executable).parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ZOO, env=environment(), capture_output=True, text=True, check=False, timeout=60)


def told(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def loaded(interpreters: Fresh, report: dict[str, Any]) -> dict[str, Any]:
    """Return what an interpreter finds that knows nothing but the reference and `sys.path`."""
    folder = Path(report["folder"])
    done = interpreters.run(ZOO / "loading.py", report["reference"], folder=folder, path=report["path"])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def assert_same(interpreters: Fresh, report: dict[str, Any], reference: str) -> None:
    assert report["reference"] == reference
    assert loaded(interpreters, report) == {"routes": report["routes"], "tasks": report["tasks"]}


PYTHON = sys.executable

STARTS = {
    "a script": ([PYTHON, "single.py"], "single:app"),
    "a module of a package": ([PYTHON, "-m", "shop.nested.site"], "shop.nested.site:site"),
    "flask, attribute": ([str(BIN / "flask"), "--app", "single", "where"], "single:app"),
}
"""Programs that an interpreter of their own runs, one of each kind."""

PROGRAMS = {
    "a script": (["single.py"], "single:app"),
    "a script by its absolute path": ([str(ZOO / "single.py")], "single:app"),
    "a module": (["-m", "single"], "single:app"),
    "a module of a package": (["-m", "shop.nested.site"], "shop.nested.site:site"),
    "a package": (["-m", "shop"], "shop.__main__:application"),
    "a factory called under the guard": (["guarded.py"], "guarded:create_app()"),
    "a factory with an argument": (["guarded.py", "other"], "guarded:create_app('other')"),
    "a factory called by main()": (["guarded.py", "main"], "guarded:create_app()"),
    "flask, file": ([str(BIN / "flask"), "--app", "shop/nested/site.py", "where"], "shop.nested.site:site"),
    "flask, factory by itself": ([str(BIN / "flask"), "--app", "shop", "where"], "shop:create_app()"),
    "flask, factory": ([str(BIN / "flask"), "--app", "shop:create_app", "where"], "shop:create_app()"),
    "flask, arguments": (
        [str(BIN / "flask"), "--app", "shop:create_app('big', extra=True)", "where"],
        "shop:create_app('big', extra=True)",
    ),
    "flask, a factory that hands on": (
        [str(BIN / "flask"), "--app", "shop:create_shop", "where"],
        "shop:create_shop()",
    ),
    "flask, factory that only the command line tells": (
        [str(BIN / "flask"), "--app", "objects:create_app", "where"],
        "objects:create_app()",
    ),
    "flask, file with a factory": ([str(BIN / "flask"), "--app", "objects.py", "where"], "objects:create_app()"),
    "flask, a module that imports more": ([str(BIN / "flask"), "--app", "entrance", "where"], "entrance:app"),
    "a script that imports more": (["entrance.py"], "entrance:app"),
    "a script that is not meant to be imported": (["script.py"], "single:app"),
    "flask as a module": (["-m", "flask", "--app", "shop", "where"], "shop:create_app()"),
    "flask, global set by the factory": (
        [str(BIN / "flask"), "--app", "late_global:create_app", "where"],
        "late_global:create_app()",
    ),
}


@pytest.mark.parametrize("how", STARTS)
def test_another_interpreter_imports_the_application_of_a_program_that_starts(interpreters: Fresh, how: str) -> None:
    command, reference = STARTS[how]
    (report,) = told(run(*command))
    assert_same(interpreters, report, reference)


@pytest.mark.parametrize("how", PROGRAMS)
def test_another_interpreter_imports_the_application_of_a_program(interpreters: Fresh, how: str) -> None:
    words, reference = PROGRAMS[how]
    (report,) = told(interpreters.python(*words, folder=ZOO))
    assert_same(interpreters, report, reference)


def test_two_applications_of_one_module_have_two_names(interpreters: Fresh) -> None:
    public, admin = told(interpreters.python("pair.py", folder=ZOO))
    assert_same(interpreters, public, "pair:public")
    assert_same(interpreters, admin, "pair:admin")


def test_flask_app_from_the_environment_is_found(interpreters: Fresh) -> None:
    (report,) = told(interpreters.run(BIN / "flask", "where", folder=ZOO, FLASK_APP="objects:create_app"))
    assert_same(interpreters, report, "objects:create_app()")


def test_a_file_that_is_no_identifier_is_imported(interpreters: Fresh, tmp_path: Path) -> None:
    script = tmp_path / "my-app.py"
    shutil.copy(ZOO / "single.py", script)
    (report,) = told(interpreters.python("my-app.py", folder=tmp_path))
    assert report["tasks"] == ["my-app.single_task"]
    assert_same(interpreters, report, "my-app:app")


@pytest.mark.parametrize("name", ["my-app.py", "single.py", "my.app.py", "program"])
def test_a_file_that_is_not_on_the_path_is_imported_by_its_own_path(
    interpreters: Fresh, tmp_path: Path, name: str
) -> None:
    script = tmp_path / name
    shutil.copy(ZOO / "single.py", script)
    (report,) = told(interpreters.python("-P", str(script), folder=ZOO))
    assert_same(interpreters, report, f"file:{script}:app")


def test_a_script_that_a_tracer_runs_is_imported_by_its_module(interpreters: Fresh, tmp_path: Path) -> None:
    tracer = "from importlib.machinery import ModuleSpec\n__spec__ = ModuleSpec('__main__', None, origin=__file__)\n"
    source = (ZOO / "single.py").read_text().replace("from __future__ import annotations", tracer)
    (tmp_path / "traced.py").write_text(source)
    (report,) = told(interpreters.python("traced.py", folder=tmp_path))
    assert report["reference"] == "traced:app"
    assert loaded(interpreters, report)["routes"] == report["routes"]


def test_a_file_that_uwsgi_loaded_is_imported_by_its_module(interpreters: Fresh, tmp_path: Path) -> None:
    (report,) = told(interpreters.run(ZOO / "as_uwsgi.py", str(ZOO / "single.py"), folder=ZOO))
    assert_same(interpreters, report, "single:app")
    script = tmp_path / "shop_site.wsgi"
    shutil.copy(ZOO / "single.py", script)
    (report,) = told(interpreters.run(ZOO / "as_uwsgi.py", str(script), folder=ZOO))
    assert_same(interpreters, report, f"file:{script}:app")


@pytest.mark.parametrize("script", ["alone.py", "objects.py"])
def test_what_cannot_be_named_says_how_to_name_it(interpreters: Fresh, script: str) -> None:
    done = interpreters.run(ZOO / script, folder=ZOO)
    assert done.returncode != 0
    assert "ApplicationNotFoundError" in done.stderr
    assert "set FORKTASK_APP" in done.stderr
    if script == "alone.py":
        assert "it is in __main__.app, but importing that module does not make it" in done.stderr


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a socket in the file system: no port to choose."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask(connection: http.client.HTTPConnection) -> dict[str, Any]:
    with closing(connection):
        connection.request("GET", "/where")
        answer = connection.getresponse()
        text = answer.read().decode()
    assert answer.status == 200, text
    found: dict[str, Any] = json.loads(text)
    return found


@contextmanager
def server(log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ZOO, env=environment(), stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.parametrize(
    ("served", "reference"),
    [
        ("shop:create_app()", "shop:create_app()"),
        ("shop:create_app('big')", "shop:create_app('big')"),
        ("behind_proxy:application", "behind_proxy:application"),
        ("behind_proxy:deeper", "behind_proxy:deeper"),
        ("wrapping_factory:make_wsgi()", "wrapping_factory:make_wsgi()"),
        ("shop.nested.site:site", "shop.nested.site:site"),
    ],
)
def test_another_interpreter_imports_what_gunicorn_serves(
    interpreters: Fresh, tmp_path: Path, served: str, reference: str
) -> None:
    path, log = tmp_path / "socket", tmp_path / "log"
    with server(log, str(BIN / "gunicorn"), "--threads", "2", "--bind", f"unix:{path}", served):
        wait_until(lambda: "Booting worker" in log.read_text(), timeout=30, what="gunicorn")
        report = ask(UnixConnection(path))
    assert_same(interpreters, report, reference)


@pytest.mark.parametrize(
    ("command", "reference"),
    [
        ([str(BIN / "flask"), "--app", "shop:create_app", "run", "--port", "0"], "shop:create_app()"),
        ([PYTHON, "unguarded.py"], "unguarded:app"),
    ],
)
def test_another_interpreter_imports_what_the_development_server_serves(
    interpreters: Fresh, tmp_path: Path, command: list[str], reference: str
) -> None:
    log = tmp_path / "log"
    with server(log, *command):
        ports = wait_until(lambda: re.findall(r"http://127\.0\.0\.1:(\d+)", log.read_text()), 30, "flask run")
        report = ask(http.client.HTTPConnection("127.0.0.1", int(ports[0]), timeout=10))
    assert_same(interpreters, report, reference)
