"""Which application a command is for: the one named, else as Flask finds it."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from flask.cli import ScriptInfo, load_dotenv
from flask.helpers import get_load_dotenv

from forktask import application, place
from forktask.cli.importing import explained

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


def surroundings(app: str | None, context: click.Context) -> AbstractContextManager[Any]:
    """Return the context of the application: the one named, else the one that the `flask` command or we find, or none.

    With FORKTASK_APP all is said.
    """
    named = os.environ.get("FORKTASK_APP")
    if not app:
        with explained("the application"):
            found = of_flask_command(context)
            if found is None and not named:
                found = discover()
        if found is not None:
            around: AbstractContextManager[Any] = found.app_context()
            return around
        app = named if context.invoked_subcommand != "worker" else None  # which is replaced by what imports it
    if not app:
        return nullcontext()
    sys.path.insert(0, os.getcwd())  # as `flask` and `python -m` do
    with explained(app):
        return place.context_of(application.load(app))()
