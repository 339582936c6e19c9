"""The group of all commands, and the application around them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from forktask import application, place
from forktask.cli import beginning, figures, listing, orders, queues, setup, transfer
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
    load_app = getattr(context.find_root().obj, "load_app", None)
    if load_app is None and context.invoked_subcommand != "worker":  # which is replaced by what imports it
        app = app or os.environ.get("FORKTASK_APP")
    context.with_resource(_surroundings(app, load_app))


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


def _surroundings(app: str | None, load_app: Callable[[], Any] | None) -> AbstractContextManager[Any]:
    """Return the context of the application: the one named, the one that the `flask` command found, or none."""
    if not app and load_app is not None:
        with explained("the application"):
            context: AbstractContextManager[Any] = load_app().app_context()
        return context
    if not app:
        return nullcontext()
    sys.path.insert(0, os.getcwd())  # as `flask` and `python -m` do
    with explained(app):
        return place.context_of(application.load(app))()


def main() -> None:
    """Run the command line."""
    group(prog_name="forktask")
