"""`forktask stats`, `tasks` and `supervisors`."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import click

from forktask import clock, registry
from forktask.cli import completion, terminal, times
from forktask.cli.manner import ExitCode, Failure, Listed, json_option, source, utc_option
from forktask.cli.terminal import Column
from forktask.cli.times import Since
from forktask.definition import TaskDefinition
from forktask.operations import supervising
from forktask.operations.overview import Figures, figures
from forktask.operations.transfer import plain_row
from forktask.states import State


@click.command()
@click.option(
    "--since", type=Since(), default="1 day", show_default=True, help="Of what has ended, what was ordered since then."
)
@json_option
def stats(since: datetime, as_json: bool) -> None:
    """Count statuses by task and state, and show how long tasks take, and who runs them.

    Example: forktask stats --since '7 days' --json
    """
    found = figures(source(), since)
    if as_json:
        click.echo(json.dumps(found.as_json()))
        return
    on = terminal.paper()
    terminal.say(terminal.sentence([f"{state} {found.states[state]}" for state in State], on), on=on)
    click.echo(_about(found))
    columns = [Column(name="TASK", elastic=True), *(Column(name=state.upper(), right=True) for state in State)]
    columns += [Column(name="MEDIAN", right=True), Column(name="9 OF 10", right=True)]
    rows = [
        (
            one.task,
            *(str(one.counts.get(state, 0)) for state in State),
            times.length(one.typical),
            times.length(one.long),
        )
        for one in found.tasks
    ]
    for line in terminal.table(columns, rows, on):
        terminal.say(line, on=on)


def _about(found: Figures) -> str:
    parts = [f"supervisors {found.supervisors}, of them workers {found.workers}"]
    if found.workers_stopped:
        parts.append("workers are told to take nothing: forktask resume-workers")
    if found.waiting_seconds is not None:
        parts.append(f"the first in line has been due for {times.length(found.waiting_seconds)}")
    return "; ".join(parts)


@click.command()
@json_option
def tasks(as_json: bool) -> None:
    """Show the tasks that the application has registered.

    Example: forktask --app shop:app tasks
    """
    found: list[TaskDefinition] = [registry.get(name) for name in registry.names()]
    if as_json:
        click.echo(json.dumps([_described(one) for one in found], ensure_ascii=False))
        return
    if not found:
        raise Failure("no task is registered: name the application, as in forktask --app shop:app tasks")
    rows = [
        (
            one.name,
            one.title,
            times.length(one.timeout),
            str(one.retry.attempts),
            "yes" if one.resumable else "",
            one.rules.unique or "",
        )
        for one in found
    ]
    terminal.show([("NAME", "TITLE", "TIMEOUT", "ATTEMPTS", "RESUMABLE", "UNIQUE"), *rows])


def _described(one: TaskDefinition) -> dict[str, Any]:
    return {
        "name": one.name,
        "title": one.title,
        "module": one.module,
        "timeout": one.timeout,
        "attempts": one.retry.attempts,
        "resumable": one.resumable,
        "start_method": one.start_method,
        "unique": one.rules.unique,
        "phases": list(one.phases),
    }


@click.group(cls=Listed, invoke_without_command=True)
@click.pass_context
def supervisors(context: click.Context) -> None:
    """Supervisors and workers: which live, and telling one to end.

    Example: forktask supervisors
    """
    if context.invoked_subcommand is None:
        context.invoke(list_)


@supervisors.command("list")
@utc_option
@json_option
def list_(utc: bool = False, as_json: bool = False) -> None:
    """Show those that did not say that they left.

    Example: forktask supervisors list --json
    """
    found = supervising.watched(source())
    if as_json:
        told = [plain_row(one.row) | {"running": one.running, "state": one.state, "death": one.death} for one in found]
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    now = clock.now()
    lines = [("PID", "HOST", "KIND", "QUEUES", "RUNNING", "STARTED", "HEARTBEAT", "STATE")]
    for one in found:
        heard = max(timedelta(), now - one.row.heartbeat_at).total_seconds()
        queues = ",".join(one.row.queues or ())
        about = (str(one.row.pid), one.row.host, one.row.kind, queues, str(one.running))
        lines.append((*about, times.shown(one.row.started_at, utc), f"{times.length(heard)} ago", one.state))
    terminal.show(lines)


@supervisors.command()
@click.argument("which", metavar="ID|PID", shell_complete=completion.supervisors)
def stop(which: str) -> None:
    """Tell one of this host to end, as SIGTERM does: a worker finishes what runs, any other interrupts it.

    Example: forktask supervisors stop 4711
    """
    found = [one for one in supervising.watched(source()) if which == str(one.row.pid) or _begins(one.row.id, which)]
    if len(found) != 1:
        known = "no supervisor" if not found else f"{len(found)} supervisors"
        raise Failure(f"{known} has the id or pid {which}; see forktask supervisors", ExitCode.UNKNOWN)
    supervising.stop(found[0])
    click.echo(f"pid {found[0].row.pid} is told to end, with {found[0].running} tasks under way")


def _begins(supervisor_id: object, text: str) -> bool:
    return len(text) >= 8 and str(supervisor_id).startswith(text.lower())


COMMANDS = (stats, tasks, supervisors)
