"""What new interpreters inherit from a web process, and what tells two web processes apart."""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forktask.host.descent import VARIABLE

SERVER = frozenset(
    {
        VARIABLE,  # of a runner; a supervisor that a task starts is another one
        "FLASK_RUN_FROM_CLI",  # would make `app.run()` in a task do nothing
        "GUNICORN_*",  # pid and descriptors of a gunicorn that replaces itself
        "JOURNAL_STREAM",  # says that stderr is the journal; the supervisor's is not
        "LISTEN_*",  # descriptors that systemd passed; their numbers mean something else here
        "MAINPID",
        "NOTIFY_SOCKET",  # a task must not tell systemd that the service is ready or stopping
        "PASSENGER_*",
        "SERVER_SOFTWARE",  # set by gunicorn
        "SYSTEMD_EXEC_PID",
        "UWSGI_*",
        "WATCHDOG_*",  # a task must not answer for the service
        "WERKZEUG_*",  # the reloader's mark and the descriptor of the development server
    }
)
"""Environment of the web server alone; `*` stands for any ending. It does not reach supervisors."""

VOLATILE = SERVER | {
    # The service manager: new for each start of one and the same service.
    "INVOCATION_ID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "SUPERVISOR_*",  # supervisord: web_00 and web_01 are the same program
    # The shell and how it was called. PWD: the working directory itself is compared.
    "_",
    "OLDPWD",
    "PWD",
    "SHLVL",
    "SUDO_*",
    "MAKEFLAGS",
    "MAKELEVEL",
    "MAKE_TERMERR",
    "MAKE_TERMOUT",
    "MFLAGS",
    # The terminal: supervisors have none.
    "COLORTERM",
    "COLUMNS",
    "GPG_TTY",
    "LINES",
    "STY",
    "TERM",
    "TERMINFO",
    "TERM_*",
    "TMUX",
    "TMUX_PANE",
    "VTE_VERSION",
    "WINDOW",
    "WINDOWID",
    # The login. SSH_AUTH_SOCK is compared: it decides what a task may reach.
    "SSH_CLIENT",
    "SSH_CONNECTION",
    "SSH_TTY",
    "XDG_SESSION_*",
    "XDG_VTNR",
    # One test after the other in one process.
    "PYTEST_CURRENT_TEST",
}
"""Environment in which two web processes may differ and still share a supervisor.

All else is compared, FLASK_DEBUG, PATH, LANG and TZ among it: a task behaves by it.
"""


def is_among(name: str, names: frozenset[str]) -> bool:
    """Return True if `name` is in the set, or begins with one that ends in `*`."""
    return name in names or any(name.startswith(known[:-1]) for known in names if known.endswith("*"))


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without what belongs to the web server."""
    return {name: value for name, value in environ.items() if not is_among(name, SERVER)}


def exec_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with which `python -P -m forktask` finds this very package.

    `restore_interpreter` puts PYTHONPATH back, for the programs that tasks start.
    """
    clean = clean_environment(environ)
    folder = str(Path(__file__).absolute().parents[2])
    if folder not in (*site.getsitepackages(), site.getusersitepackages()):
        clean["PYTHONPATH"] = os.pathsep.join(filter(None, (folder, environ.get("PYTHONPATH"))))
    return clean


def import_path() -> list[str]:
    """Return `sys.path` without what imports ignore, such as `Path` objects."""
    entries: list[object] = [*sys.path]
    return [entry for entry in entries if isinstance(entry, str)]


def interpreter_state() -> dict[str, Any]:
    """Return what a new interpreter needs to import as this one does; JSON."""
    return {"sys_path": import_path(), "python_path": os.environ.get("PYTHONPATH")}


def restore_interpreter(state: Mapping[str, Any]) -> None:
    """Make this interpreter import as the one does whose `interpreter_state` is given."""
    sys.path[:] = state["sys_path"]
    if state["python_path"] is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = state["python_path"]
