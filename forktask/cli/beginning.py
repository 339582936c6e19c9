"""`forktask start` and `forktask enqueue`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from forktask import moments, registry
from forktask.cli import bars, completion, terminal
from forktask.cli.manner import OUTCOMES, ExitCode, Failure, json_option, leave
from forktask.cli.settings import parsed, settings_argument
from forktask.cli.times import Seconds
from forktask.configured import ConfiguredTask, named
from forktask.operations.transfer import shown_row
from forktask.states import State
from forktask.status import TaskStatus


def _run_after(context: click.Context, parameter: click.Parameter, value: str | None) -> str | float | None:
    """Take what `run_after` takes, and a duration without its plus."""
    if value is None:
        return None
    wrong = ""
    for form in (f"+{value}", value):
        try:
            given: str | float = float(form) if form.replace(".", "", 1).isdigit() else form
            moments.moment(given, "--run-after")
        except ValueError as error:
            wrong = str(error)
            continue
        return given
    raise click.BadParameter(wrong.removeprefix("--run-after="))


def ordering(command: Callable[[ConfiguredTask, Any, str | None], TaskStatus]) -> Any:
    """Add what both commands take; the command gets the task and the settings, and returns the status."""

    @click.argument("task", shell_complete=completion.tasks)
    @settings_argument
    @click.option("--owner", help="Who may see it, as the application names its users.")
    @click.option("--title", help="What a person reads instead of the task's title.")
    @click.option("--unique", help="'settings', 'owner' or a key: at most one like it waits or runs.")
    @click.option("--wait", "waits", is_flag=True, help="Wait for its end; the exit code says how it ended.")
    @click.option("--timeout", type=Seconds(0), help="Most seconds to wait.")
    @json_option
    @wraps(command)
    def ordered(task: str, settings: Sequence[str], **said: Any) -> None:
        how = {name: said.pop(name) for name in ("waits", "timeout", "as_json")}
        given, owner = parsed(settings), said.pop("owner")
        options = {name: value for name, value in said.items() if value is not None}
        try:
            configured = named(registry.full_name(task)).using(**options)
        except (TypeError, ValueError) as error:
            raise Failure(str(error), ExitCode.USAGE) from error
        status = command(configured, given, owner)
        if how["waits"]:
            click.echo(status.id, err=True)
            _wait(status, how["timeout"], how["as_json"])
        _say(status, how["as_json"])

    return ordered


@click.command()
@ordering
def start(task: ConfiguredTask, settings: Any, owner: str | None) -> TaskStatus:
    """Start TASK now, in a process of its own.

    SETTINGS are JSON, @FILE, - for standard input, or any number of key=value. TASK may be the last part of a name.
    Prints the id; nothing else where the output is no terminal.

    Example: forktask --app shop:app start ReportTask year=2026 --wait
    """
    return task.initiate(settings, owner=owner)


@click.command()
@click.option("--queue", shell_complete=completion.queues, help="Where it waits.")
@click.option("--priority", type=click.IntRange(0, 100), help="Higher first; 50 if it is not said.")
@click.option("--run-after", callback=_run_after, help="Not before: '10 minutes', or 2030-01-31T08:00+01:00.")
@ordering
def enqueue(task: ConfiguredTask, settings: Any, owner: str | None) -> TaskStatus:
    """Leave TASK to a queue.

    SETTINGS are JSON, @FILE, - for standard input, or any number of key=value. TASK may be the last part of a name.
    Prints the id; nothing else where the output is no terminal.

    Example: forktask --app shop:app enqueue ReportTask year=2026 --queue reports --run-after '10 minutes'
    """
    return task.enqueue(settings, owner=owner)


def _say(status: TaskStatus, as_json: bool) -> None:
    on = terminal.paper()
    if as_json:
        click.echo(json.dumps(shown_row(status.row), ensure_ascii=False))
    elif on.width is None:
        click.echo(status.id)
    else:
        terminal.say(f"{status.id}  {on.state(status.state)}  {status.task}", on=on)


def _wait(status: TaskStatus, timeout: float | None, as_json: bool) -> None:
    """Wait, say how it ended, and end so."""
    try:
        is_final = bars.wait(status, timeout)
    except KeyboardInterrupt:
        click.echo(f"it goes on: forktask follow {status.id}", err=True)
        raise
    if as_json:
        click.echo(json.dumps(shown_row(status.row), ensure_ascii=False))
    elif not is_final:
        click.echo(f"it has not ended in time; it goes on: forktask follow {status.id}", err=True)
    elif status.state is State.COMPLETED:
        _say_result(status)
    else:
        reference = f" ({status.reference})" if status.reference else ""
        click.echo(f"{status.state}: {status.error or ''}{reference}", err=True)
    leave(OUTCOMES[status.state] if is_final else ExitCode.NOT_IN_TIME)


def _say_result(status: TaskStatus) -> None:
    if status.result is not None:
        click.echo(json.dumps(status.result, ensure_ascii=False))
    elif sys.stderr.isatty():
        on = terminal.paper(sys.stderr)
        terminal.say(f"{on.state(status.state)}: {status.message or ''}", on=on, err=True)
