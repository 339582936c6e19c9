"""Workers under cron, systemd, supervisor and in a container do what the page of operations says."""

from __future__ import annotations

import configparser
import json
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.docs.pages import blocks, file
from tests.namespaces import NAMESPACE, refusal
from tests.unit.fresh import Fresh, fresh
from tests.waiting import wait_until

Start = Callable[..., subprocess.Popen[bytes]]
PAGE = "docs/operations.md"
PATIENCE = 60.0
HOME = "/srv/mysite"
SITE = """
from pathlib import Path
from typing import Any
from flask import Flask
from forktask import TaskStatus, task
from forktask.web import ForkTask

HERE = Path(__file__).parent
app = Flask(__name__)
app.secret_key = "secret"
app.config["FORKTASK_RUNTIME_DIR"] = str(HERE / "run")
app.config["FORKTASK_DATABASE_URL"] = f"sqlite:///{HERE}/tasks.sqlite"
app.config["FORKTASK_STOP_TIMEOUT"] = 0.3
ForkTask(app)

@task(resumable=True)
def waits(status):
    import time
    (HERE / "begun").touch()
    while not (HERE / "go").exists():
        time.sleep(0.01)
    (HERE / "done").write_text("done")

@task
def orphans(status):
    import subprocess, sys
    program = "import os; os.fork() and os._exit(0); os.setsid(); open(%r, 'w').write(str(os.getpid()))"
    subprocess.run([sys.executable, "-c", program % str(HERE / "orphan")], check=True)
"""
ORDER = "import sys, mysite; mysite.app.app_context().push(); print(getattr(mysite, sys.argv[1]).enqueue().id)"
ASK = "import mysite; mysite.app.app_context().push(); print(mysite.TaskStatus.get(%r).refresh().state)"


SUPERVISORD = """
[unix_http_server]
file=supervisor.sock
[supervisord]
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://supervisor.sock
"""


TWO_TASKS = """
import hooks
from forktask import Retry

@task
def fine(status):
    return 7

@task(retry=Retry(attempts=2, backoff=0.05))
def bad(status):
    raise ValueError
"""
LOG = "import mysite; mysite.app.app_context().push(); print(''.join(r.text for r in mysite.TaskStatus.get(%r).log()))"


class Site:
    """What stands in /srv/mysite, elsewhere."""

    def __init__(self, path: Path, interpreters: Fresh) -> None:
        self.path = path
        self._interpreters = interpreters
        (path / "mysite.py").write_text(SITE)
        (path / ".venv").symlink_to(Path(sys.executable).parents[1])

    def here(self, text: str) -> str:
        """Return a recipe for this folder."""
        return text.replace(HOME, str(self.path))

    def order(self, task: str) -> str:
        """Leave a task to the queue, and wake nobody; return its id."""
        return self._python(ORDER, task)

    def state(self, status_id: str) -> str:
        """Return the state of a status."""
        return self._python(ASK % status_id)

    def log(self, status_id: str) -> str:
        """Return what its attempts have printed."""
        return self._python(LOG % status_id) + "\n"

    def has_begun(self) -> None:
        """Return once the task has begun that waits."""
        wait_until((self.path / "begun").exists, PATIENCE, "a task that has begun")

    def let_go(self) -> None:
        """Let it end."""
        (self.path / "go").touch()

    def _python(self, program: str, *arguments: str) -> str:
        file = self.path / "asking.py"
        file.write_text(program)
        done = self._interpreters.run(file, *arguments, folder=self.path, FORKTASK_START_METHOD="inline")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fresh]:
    with fresh(tmp_path_factory.mktemp("fresh")) as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, interpreters: Fresh) -> Site:
    return Site(tmp_path, interpreters)


@pytest.fixture
def start() -> Iterator[Start]:
    """Give what starts programs that print into a file, if there is one; what runs after the test is killed."""
    with ExitStack() as stack:

        def starts(command: Sequence[str], log: Path | None = None, **more: Any) -> subprocess.Popen[bytes]:
            if log is not None:
                more["stdout"] = stack.enter_context(log.open("wb"))
                more["stderr"] = subprocess.STDOUT
            process = subprocess.Popen(command, **more)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process

        yield starts


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def ended(process: subprocess.Popen[bytes]) -> int:
    return process.wait(PATIENCE)


def test_cron_starts_one_worker_at_a_time_which_prints_nothing(site: Site, start: Start) -> None:
    (line,) = blocks(PAGE, "cron")
    command = ["/bin/sh", "-c", site.here(line.split(None, 5)[5])]
    environ = {"HOME": str(site.path), "LOGNAME": "mysite", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
    status = site.order("waits")
    first = start(command, site.path / "mail", cwd="/", env=environ)
    site.has_begun()
    second = subprocess.run(command, cwd="/", env=environ, capture_output=True, check=False)
    assert (second.returncode, second.stdout + second.stderr) == (3, b"")
    site.let_go()
    assert ended(first) == 0
    assert (site.path / "mail").read_text() == ""
    assert site.state(status) == "completed"
    assert "another worker of default runs here" in (site.path / "worker.log").read_text()


@pytest.mark.parametrize("in_time", [True, False])
def test_systemd_stops_a_worker_after_its_tasks_or_interrupts_them(site: Site, start: Start, in_time: bool) -> None:
    text = site.here(file(PAGE, "mysite-worker.service"))
    service = unit(text)["Service"]
    if shutil.which("systemd-analyze") is not None:
        path = site.path / "mysite-worker.service"
        path.write_text(text)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    assert service["KillMode"] == "mixed"
    assert "KillSignal" not in service
    status = site.order("waits")
    main = start(shlex.split(service["ExecStart"]), site.path / "log", cwd=service["WorkingDirectory"])
    site.has_begun()
    ways = service["ExecStop"] if in_time else service["ExecStop"].replace("timeout 300", "timeout 1")
    stopping = start(shlex.split(ways), env={**os.environ, "MAINPID": str(main.pid)})
    if in_time:
        site.let_go()
    else:
        assert ended(stopping) == 0
        main.terminate()  # as systemd does after ExecStop, to the main process alone
    assert ended(main) == 0
    assert ended(stopping) == 0
    assert site.state(status) == ("completed" if in_time else "queued")


def test_supervisor_runs_a_worker_and_waits_for_its_tasks(site: Site, start: Start) -> None:
    section = site.here(file(PAGE, "mysite-worker.conf"))
    section = section.replace("user=mysite", f"user={pwd.getpwuid(os.getuid()).pw_name}")
    (site.path / "supervisord.conf").write_text(f"{SUPERVISORD}\n{section}")
    status = site.order("waits")
    module, conf = [sys.executable, "-m"], ["-c", "supervisord.conf"]
    daemon = start([*module, "supervisor.supervisord", *conf], site.path / "log", cwd=site.path)
    site.has_begun()
    control = [*module, "supervisor.supervisorctl", *conf, "stop", "mysite-worker"]
    stopping = start(control, site.path / "control", cwd=site.path)
    wait_until(lambda: " told to end" in (site.path / "worker.log").read_text(), PATIENCE, "a word")
    site.let_go()
    assert ended(stopping) == 0
    assert site.state(status) == "completed"
    daemon.terminate()
    assert ended(daemon) == 0


def test_in_a_container_it_is_pid_1_reaps_and_finishes(site: Site, start: Start) -> None:
    if refused := refusal():
        pytest.skip(f"no pid namespace can be made here: {refused}")
    (told,) = re.findall(r"^CMD (\[.*\])$", file(PAGE, "Dockerfile"), re.MULTILINE)
    path = f"{site.path}/.venv/bin:{os.environ['PATH']}"
    log = site.path / "log"
    namespace = start([*NAMESPACE, *json.loads(told)], log, cwd=site.path, env={**os.environ, "PATH": path})
    wait_until(lambda: " ready kind=worker pid=1 " in log.read_text(), PATIENCE, "a worker")
    (worker,) = psutil.Process(namespace.pid).children()
    left = site.order("orphans")
    wait_until(lambda: " which a task had left" in log.read_text(), PATIENCE, "the end of an orphan")
    assert not [child for child in worker.children() if child.status() == psutil.STATUS_ZOMBIE]
    wait_until(lambda: site.state(left) == "completed", PATIENCE, "its task")
    status = site.order("waits")
    site.has_begun()
    worker.terminate()
    wait_until(lambda: " told to end" in log.read_text(), PATIENCE, "a word")
    site.let_go()
    assert ended(namespace) == 0
    assert site.state(status) == "completed"


def test_the_receivers_of_the_page_hear_what_it_says(site: Site) -> None:
    (site.path / "hooks.py").write_text(file("docs/workers.md", "hooks.py"))
    with (site.path / "mysite.py").open("a") as module:
        module.write(TWO_TASKS)
    fine, bad = site.order("fine"), site.order("bad")
    command = [str(site.path / ".venv/bin/forktask"), "--app", "mysite:app", "worker", "--max-idle", "1"]
    done = subprocess.run(command, cwd=site.path, capture_output=True, text=True, check=True)
    assert list(dict.fromkeys(done.stdout.splitlines())) == ["serves default", "has nothing to do", "has ended"]
    assert "attempt 1 of mysite.bad ended by exception; another one follows" in done.stderr
    assert re.search(r"mysite\.bad failed, reference \w{4}-\w{4}", done.stderr)
    assert site.log(fine) == "begins mysite.fine for the 1. time\nmysite.fine gave 7\n"
    assert "begins mysite.bad for the 2. time" in site.log(bad)
