"""`forktask worker`: what an operator, systemd or cron starts."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click

from forktask import host, runtime
from forktask.errors import ForkTaskError
from forktask.queuename import is_queue
from forktask.start.foreground import become_worker, exclusive_lock
from forktask.supervisor.worker import WorkerOptions

DEFAULT_QUEUE = "default"
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


@click.command()
@click.option("queues", "--queue", "-q", type=Share(), multiple=True, help="Take from it; may be given again.")
@click.option("--processes", type=click.IntRange(1, 10_000), default=os.cpu_count(), show_default="one for each core")
@click.option(
    "--tasks-per-runner", type=click.IntRange(1), default=1, show_default=True,
    help="Execute so many short tasks in one process, one after the other.",
)  # fmt: skip
@click.option("--ignore", metavar="TASK", multiple=True, help="Leave this task alone; may be given again.")
@click.option("--once", is_flag=True, help="Take one batch, at most as many as there are processes, and end: for cron.")
@click.option("--drain", is_flag=True, help="End when nothing is due.")
@click.option("only", "--id", type=click.UUID, help="Run this one status, whatever its queue, and end.")
@click.option("most_tasks", "--max-tasks", type=click.IntRange(1), help="End after so many tasks.")
@click.option("most_seconds", "--max-seconds", type=click.FloatRange(0), help="End after so many seconds.")
@click.option("most_memory", "--max-memory", type=click.IntRange(1), help="End when more MiB are in use.")
@click.option("most_failures", "--max-failures", type=click.IntRange(1), help="End after so many failures.")
@click.option("most_idle", "--max-idle", type=click.IntRange(1), help="End after so many idle seconds.")
@click.option("--stop-file", type=click.Path(), help="End when this file is there.")
@click.option("--exclusive", is_flag=True, help="Refuse to run beside another such worker of these queues here.")
def worker(queues: tuple[tuple[str, int], ...], exclusive: bool, **told: Any) -> None:
    """Take tasks from queues and run them, in the foreground.

    Queues are emptied in the order in which they are named; with weights, each gets its share. SIGTERM and Ctrl-C: take
    nothing more, and finish; a second one interrupts what runs, a third one kills it.

    Example: forktask --app demo_app:app worker --queue reports:3 --queue default:1 --processes 4
    """
    weights = dict(queues) or {DEFAULT_QUEUE: 0}
    if any(weights.values()):
        weights = {name: weight or 1 for name, weight in weights.items()}
    told["ignored"] = list(told.pop("ignore"))
    if told["only"] is not None:
        told |= {"only": str(told["only"]), "drain": True, "most_tasks": 1}
    if told["most_memory"] is not None:
        told["most_memory"] <<= 20
    try:
        source = runtime.current()
        destination = source.doorbell.destination
        settings = source.settings
        about = (destination.application, settings.database_url, [*weights])
        if exclusive and not exclusive_lock(host.private_directory(settings.runtime_dir), *about):
            click.echo(f"another worker of {', '.join(weights)} runs here and has the lock of --exclusive", err=True)
            sys.exit(BUSY)
        become_worker(destination, WorkerOptions(weights=weights, **told))
    except (ForkTaskError, OSError) as error:
        raise click.ClickException(str(error)) from error
