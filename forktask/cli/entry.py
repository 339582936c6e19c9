"""The group of all commands, and the application around them."""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from forktask import application, place
from forktask.cli import beginning, figures, listing, orders, queues, setup, transfer
from forktask.cli.discovery import discover, of_flask_command
from forktask.cli.following import follow
from forktask.cli.importing import explained
from forktask.cli.manner import Commands
from forktask.cli.schedule import schedule
from forktask.cli.top import top
from forktask.cli.worker import worker


@click.group(cls=Commands)
@click.option("--app", metavar="MODULE:ATTRIBUTE", help="The application whose settings are used.")
@click.version_option(package_name="forktask")
@click.pass_context
def group(context: click.Context, app: str | None) -> None:
    """Background tasks of a Flask application."""
    context.with_resource(_surroundings(app, context))


for command in (
    *setup.COMMANDS,
    beginning.start,
    beginning.enqueue,
    listing.list_,
    listing.show,
    *orders.COMMANDS,
    follow,
    top,
    *figures.COMMANDS,
    transfer.export,
    transfer.import_,
    schedule,
    worker,
    *queues.COMMANDS,
):
    group.add_command(command)


def _surroundings(app: str | None, context: click.Context) -> AbstractContextManager[Any]:
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


def main() -> None:
    """Run the command line."""
    group(prog_name="forktask")
