"""The group of all commands, and the application around them."""

from __future__ import annotations

import click
from click.shell_completion import add_completion_class

from forktask.cli import beginning, figures, listing, orders, queues, setup, transfer
from forktask.cli.completion import Bash
from forktask.cli.discovery import surroundings
from forktask.cli.following import follow
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
    context.with_resource(surroundings(app, context))


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


def main() -> None:
    """Run the command line."""
    add_completion_class(Bash)
    group(prog_name="forktask")
