"""The group of all commands, and the application around them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from forktask import application, place, runtime
from forktask.cli.queues import COMMANDS
from forktask.cli.schedule import schedule
from forktask.cli.worker import worker
from forktask.errors import ForkTaskError


@click.group()
@click.option("--app", metavar="MODULE:ATTRIBUTE", help="The application whose settings are used.")
@click.version_option(package_name="forktask")
@click.pass_context
def group(context: click.Context, app: str | None) -> None:
    """Background tasks of a Flask application."""
    context.with_resource(_surroundings(app, getattr(context.find_root().obj, "load_app", None)))


@group.command()
def init() -> None:
    """Create the tables; those that exist stay as they are.

    Example: FORKTASK_DATABASE_URL=postgresql://localhost/site forktask init
    """
    try:
        store = runtime.current().store
        store.create_tables()
    except ForkTaskError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"the tables are in {shown_url(store.url)}")


group.add_command(schedule)
group.add_command(worker)
for command in COMMANDS:
    group.add_command(command)


def shown_url(url: str) -> str:
    """Return a database URL without its password."""
    head, separator, rest = url.partition("://")
    login, at, host = rest.rpartition("@")
    return f"{head}{separator}{login.partition(':')[0]}{at}{host}"


def _surroundings(app: str | None, load_app: Callable[[], Any] | None) -> AbstractContextManager[Any]:
    """Return the context of the application: the one named, the one that the `flask` command found, or none."""
    if app is None and load_app is not None:
        context: AbstractContextManager[Any] = load_app().app_context()
        return context
    if app is None:
        return nullcontext()
    sys.path.insert(0, os.getcwd())  # as `flask` and `python -m` do
    try:
        return place.context_of(application.load(app))()
    except (ForkTaskError, ImportError) as error:
        raise click.BadParameter(str(error), param_hint="--app") from error


def main() -> None:
    """Run the command line."""
    group(prog_name="forktask")
