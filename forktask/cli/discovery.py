"""Which application a command is for, where none is named: as Flask finds it."""

from __future__ import annotations

import os
from typing import Any

import click
from flask.cli import ScriptInfo, load_dotenv
from flask.helpers import get_load_dotenv

USUAL_FILES = ("wsgi.py", "app.py")
"""Where Flask looks in the working directory."""


def discover() -> Any | None:
    """Return the application of FLASK_APP, else that of `wsgi.py` or `app.py` here; None where there is none.

    Raises:
        click.ClickException: It is there, and cannot be had.
    """
    if get_load_dotenv(True):
        load_dotenv()
    named = os.environ.get("FLASK_APP")
    if not named and not any(os.path.isfile(name) for name in USUAL_FILES):
        return None
    return ScriptInfo(app_import_path=named).load_app()


def of_flask_command(context: click.Context) -> Any | None:
    """Return the application that the `flask` command found; None in a command of our own."""
    load_app = getattr(context.find_root().obj, "load_app", None)
    return load_app() if load_app is not None else None
