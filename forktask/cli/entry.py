"""The group of all commands, and the application around them."""

from __future__ import annotations

from collections.abc import Sequence

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


class Root(Commands):
    """All commands; the application may be named before a command or after it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the application first, for it is loaded before a command reads its own part."""
        return super().parse_args(ctx, with_application_first(args))


def with_application_first(args: Sequence[str]) -> list[str]:
    """Return the words of a command line with every `--app` at their beginning; those after `--` are a task's."""
    end = args.index("--") if "--" in args else len(args)
    named: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word == "--app":
            named.append(word)
            if (name := next(words, None)) is None:
                return named  # that it is missing is all there is to say
            named.append(name)
        else:
            (named if word.startswith("--app=") else rest).append(word)
    return [*named, *rest, *args[end:]]


@click.group(cls=Root)
@click.option(
    "--app", metavar="MODULE:ATTRIBUTE", help="The application whose settings are used; also after a command."
)
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
