"""`forktask worker`: what an operator, systemd or cron starts."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click

from forktask import host, runtime
from forktask.cli import completion
from forktask.cli.times import Seconds
from forktask.errors import ForkTaskError
from forktask.queuename import is_queue
from forktask.start.foreground import become_worker, exclusive_lock, redirect
from forktask.supervisor.options import WorkerOptions
from forktask.supervisor.resting import DEFAULT_SLEEP

DEFAULT_QUEUE = "default"
MOST_PROCESSES = 10_000
ARGUMENTS = "forktask.worker_arguments"
BUSY = 3
"""Exit code where another worker has the lock of `--exclusive`."""


class Share(click.ParamType[tuple[str, int]]):
    """A queue with its weight: `reports` or `reports:3`."""

    name = "NAME[:WEIGHT]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return name and weight; weight 0: none was said."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"([^:]+)(?::([1-9]\d{0,3}))?", value)
        if found is None or not is_queue(found[1]):
            self.fail(f"{value!r} is no queue; say NAME or NAME:WEIGHT, a weight of 1 to 9999", param, ctx)
        return found[1], int(found[2] or 0)


class Range(click.ParamType[tuple[int, int]]):
    """How many at once: `4`, or `1-8`."""

    name = "N|MIN-MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Return least and most."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", str(value))
        least, most = (int(found[1]), int(found[2] or found[1])) if found is not None else (0, 0)
        if not 1 <= least <= most <= MOST_PROCESSES:
            self.fail(f"{value!r} is no number of processes; say N or MIN-MAX, 1 to {MOST_PROCESSES}", param, ctx)
        return least, most


class WithArguments(click.Command):
    """A command that leaves alone what follows `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take it off first; without `--` a stray word is an error."""
        before, after = (args[: args.index("--")], args[args.index("--") + 1 :]) if "--" in args else (args, [])
        ctx.meta[ARGUMENTS] = after
        return super().parse_args(ctx, before)


@click.command(cls=WithArguments, options_metavar="[OPTIONS] [-- ARGS]...")
@click.option(
    "queues",
    "--queue",
    "-q",
    shell_complete=completion.queues,
    type=Share(),
    multiple=True,
    help="Take from it; may be given again.",
)
@click.option(
    "--processes",
    type=Range(),
    default=str(os.cpu_count() or 1),
    show_default="one for each core",
    help="Most tasks of its queues at once; MIN-MAX: more than MIN only while others wait.",
)
@click.option(
    "--tasks-per-runner", type=click.IntRange(1), default=1, show_default=True,
    help="Execute so many short tasks in one process, one after the other.",
)  # fmt: skip
@click.option(
    "--ignore",
    metavar="TASK",
    multiple=True,
    shell_complete=completion.tasks,
    help="Leave this task alone; its name or the last part of it; may be given again.",
)
@click.option(
    "--sleep",
    type=Seconds(0, min_open=True),
    default=DEFAULT_SLEEP,
    show_default=True,
    help="Seconds between looks at the table while there is nothing to do.",
)
@click.option("--once", is_flag=True, help="Take one batch, at most as many as there are processes, and end: for cron.")
@click.option("--drain", is_flag=True, help="End when nothing is due.")
@click.option(
    "only",
    "--id",
    type=click.UUID,
    shell_complete=completion.ids,
    help="Run this one status, whatever its queue, and end.",
)
@click.option("most_tasks", "--max-tasks", type=click.IntRange(1), help="End after so many tasks.")
@click.option("most_seconds", "--max-seconds", type=Seconds(0), help="End after so many seconds.")
@click.option("most_memory", "--max-memory", type=click.IntRange(1), help="End when more MiB are in use.")
@click.option("most_failures", "--max-failures", type=click.IntRange(1), help="End after so many failures.")
@click.option("most_idle", "--max-idle", type=click.IntRange(1), help="End after so many idle seconds.")
@click.option("--stop-file", type=click.Path(), help="End when this file is there.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Append the log, and what tasks print, to this file; - for standard output.",
)
@click.option("--exclusive", is_flag=True, help="Refuse to run beside another such worker of these queues here.")
@click.pass_context
def worker(context: click.Context, /, queues: tuple[tuple[str, int], ...], exclusive: bool, **told: Any) -> None:
    """Take tasks from queues and run them, in the foreground.

    Queues are emptied in the order in which they are named; with weights, each gets its share. SIGTERM and Ctrl-C: take
    nothing more, and finish; a second one interrupts what runs, a third one kills it. ARGS are for the tasks, which
    have them as status.worker_arguments.

    Example: forktask --app demo_app:app worker --queue reports:3 --queue default:1 --processes 4
    """
    output = told.pop("output")
    options = _options(queues, {**told, "shows_output": output is not None, "arguments": context.meta[ARGUMENTS]})
    try:
        if output is not None:
            redirect(output)
        source = runtime.current()
        destination = source.doorbell.destination
        settings = source.settings
        about = (destination.application, settings.database_url, [*options.weights])
        if exclusive and not exclusive_lock(host.private_directory(settings.runtime_dir), *about):
            click.echo(
                f"another worker of {', '.join(options.weights)} runs here and has the lock of --exclusive", err=True
            )
            sys.exit(BUSY)
        become_worker(destination, options)
    except (ForkTaskError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _options(queues: tuple[tuple[str, int], ...], told: dict[str, Any]) -> WorkerOptions:
    """Return what the worker is told; queues without a weight among others that have one weigh 1."""
    weights = dict(queues) or {DEFAULT_QUEUE: 0}
    if any(weights.values()):
        weights = {name: weight or 1 for name, weight in weights.items()}
    told["ignored"] = list(told.pop("ignore"))
    told["least"], told["processes"] = told["processes"]
    if told["only"] is not None:
        told |= {"only": str(told["only"]), "drain": True, "most_tasks": 1}
    if told["most_memory"] is not None:
        told["most_memory"] <<= 20
    return WorkerOptions(weights=weights, **told)
