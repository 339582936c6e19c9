"""`forktask schedule …`: recurring tasks on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TextIO

import click

from forktask import registry, runtime
from forktask.cli import completion, terminal
from forktask.cli.manner import Failure, Listed, json_option, utc_option
from forktask.entries import declaration_of_entry
from forktask.errors import ForkTaskError, ScheduleError
from forktask.schedule import Declaration, changes, declared
from forktask.schedule.declaration import describe, rule_of
from forktask.schedule.planning import begins
from forktask.schedule.rules import due_times
from forktask.schedule.table import ScheduleRow
from forktask.store import Store

SHOWN = ("name", "task", "title", "queue", "priority", "owner", "settings", "every", "cron", "timezone", "jitter",
         "missed", "overlap", "start_at", "end_at", "application", "version", "last_due_at", "last_status_id",
         "skipped", "paused_at", "withdrawn_at")  # fmt: skip
COMMAND = changes.Source()
"""Whose word it is what a command adds."""


@click.group(cls=Listed)
def schedule() -> None:
    """Recurring tasks: what there is, and what no code declares.

    The tasks have to be known here: say which application, as in `forktask --app shop:app schedule list`, or use
    `flask forktask schedule`. A supervisor or a worker that runs sees a change within ten seconds.
    """


@contextmanager
def _store() -> Iterator[Store]:
    yield runtime.current().store


@schedule.command("list")
@click.option("--next", "count", type=click.IntRange(1, 100), default=1, help="How many next runs are shown.")
@click.option("--all", "all_", is_flag=True, help="Also those that their application no longer declares.")
@utc_option
@json_option
def list_(count: int, all_: bool, utc: bool, as_json: bool) -> None:
    """Show each recurring task with its next runs.

    Example: forktask --app shop:app schedule list --next 3
    """
    with _store() as store:
        rows, now = store.schedules()
        known = {row.name for row in rows}
        rows += [changes.new_row(said, COMMAND, now) for name, said in sorted(declared().items()) if name not in known]
        shown = [
            (row, _state(row) if row.name in known else "declared", _next_runs(row, count))
            for row in rows
            if all_ or row.withdrawn_at is None
        ]
    if as_json:
        click.echo(json.dumps([_as_json(*one) for one in shown], indent=2, default=str))
        return
    zone = UTC if utc else None
    lines = [("NAME", "STATE", "NEXT RUN", "RULE", "TASK")]
    for row, state, times in shown:
        first, *later = [f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}" for time in times] or ["-"]
        lines.append((row.name, state, first, describe(row), row.task))
        lines += [("", "", time, "", "") for time in later]
    terminal.show(lines)


def _state(row: ScheduleRow) -> str:
    if row.withdrawn_at is not None:
        return "withdrawn"
    if row.paused_at is not None:
        return "paused"
    return "ended" if row.next_at is None else "waits" if row.held_at is not None else "active"


def _next_runs(row: ScheduleRow, count: int) -> list[datetime]:
    if row.due_at is None:
        return []
    later = islice(due_times(rule_of(row, row.anchor_at), row.due_at), count - 1)
    return [begins(row, due) for due in (row.due_at, *later)]


def _as_json(row: ScheduleRow, state: str, times: Sequence[datetime]) -> dict[str, Any]:
    told = {name: getattr(row, name) for name in SHOWN} | {"state": state, "next": list(times)}
    return {name: _json_time(value) for name, value in told.items()}


def _json_time(value: Any) -> Any:
    if isinstance(value, list):
        return [_json_time(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def _json_option(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"it is no JSON: {error}") from error


def _interval_option(context: click.Context, parameter: click.Parameter, value: str | None) -> float | str | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return value


@schedule.command()
@click.argument("task", shell_complete=completion.tasks)
@click.option("--every", callback=_interval_option, help="Seconds, or for example '10 minutes'.")
@click.option("--cron", help="For example '*/5 9-17 * * mon-fri'.")
@click.option("--timezone", help="Of --cron, for example Europe/Berlin; UTC if it is not said.")
@click.option("--name", help="Stable name; the task and the rule if it is not said.")
@click.option("--settings", callback=_json_option, help="JSON.")
@click.option("--owner", help="Who may see the runs.")
@click.option("--title", help="What a person reads.")
@click.option("--queue", shell_complete=completion.queues, help="Where the runs are left.")
@click.option("--priority", type=int, help="0 to 100, higher first.")
@click.option("--start", help="Nothing is due before; for example 2030-01-31T08:00+01:00.")
@click.option("--end", help="Nothing is due after it.")
@click.option("--jitter", callback=_interval_option, help="Each run begins up to so much later, for example '30 s'.")
@click.option("--missed", type=click.Choice(["none", "last", "all"]), help="What is made up for; last if not said.")
@click.option("--overlap", type=click.Choice(["skip", "queue", "parallel"]), help="skip if it is not said.")
def add(**entry: Any) -> None:
    """Add the recurring task TASK, or change the one of that name. TASK may be the last part of a name.

    Example: forktask --app shop:app schedule add ReportTask --cron '0 3 * * *' --timezone Europe/Berlin
    """
    with _store() as store:
        _write(store, [_declared({name: value for name, value in entry.items() if value is not None})])


@schedule.command()
@click.argument("file", type=click.File(encoding="utf-8"))
def load(file: TextIO) -> None:
    """Add or change all recurring tasks of a JSON FILE (- is standard input), or none if one of them is wrong.

    It is a list of objects with `task`, `every` or `cron`, and what `add` takes, by the names of its options.

    Example: forktask --app shop:app schedule load tasks.json
    """
    try:
        entries = json.load(file)
    except ValueError as error:
        raise Failure(f"{file.name} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise Failure(f"{file.name} is no list of recurring tasks")
    with _store() as store:
        _write(store, [_entry(number, entry) for number, entry in enumerate(entries)])


def _entry(number: int, entry: Any) -> Declaration:
    try:
        return _declared(entry)
    except ForkTaskError as error:
        raise ScheduleError(f"entry {number}: {error}") from error


def _declared(entry: Any) -> Declaration:
    """Return the recurring task; its task may be the last part of a name."""
    if isinstance(entry, dict) and isinstance(name := entry.get("task"), str):
        entry = entry | {"task": registry.full_name(name)}
    return declaration_of_entry(entry)


def _write(store: Store, made: Sequence[Declaration]) -> None:
    rows, now = store.schedules()
    known = {row.name: row for row in rows}
    names = [said.name for said in made]
    for name in names:
        if names.count(name) > 1:
            raise ScheduleError(f"two recurring tasks are called {name!r}; give each a name of its own")
        if name in known:
            _refuse_declared(known[name], "change")
    new = [changes.new_row(said, COMMAND, now) for said in made if said.name not in known]
    changed = [(known[said.name], changes.changes(known[said.name], said, COMMAND, now))
               for said in made if said.name in known]  # fmt: skip
    store.write_schedules(new, [(row, values) for row, values in changed if values])
    for said in made:
        click.echo(f"{'changed' if said.name in known else 'added'} {said.name}")


def _refuse_declared(row: ScheduleRow, verb: str) -> None:
    if row.application and row.withdrawn_at is None:
        raise ScheduleError(f"{row.name!r} is declared in the code of {row.application}: {verb} it there, or pause it")


def _found(store: Store, name: str) -> ScheduleRow:
    row = store.schedule(name)
    if row is None:
        raise ScheduleError(f"no recurring task is called {name!r}; see `forktask schedule list`")
    return row


@schedule.command()
@click.argument("name", shell_complete=completion.schedules)
def remove(name: str) -> None:
    """Delete the recurring task NAME; its runs stay.

    Example: forktask schedule remove nightly
    """
    with _store() as store:
        _refuse_declared(_found(store, name), "remove")
        store.remove_schedule(name)
    click.echo(f"removed {name}")


@schedule.command()
@click.argument("name", shell_complete=completion.schedules)
def pause(name: str) -> None:
    """Let nothing of NAME be due until it is resumed, whatever is deployed meanwhile; a run under way goes on.

    Example: forktask schedule pause nightly
    """
    _change(name, changes.paused)
    click.echo(f"paused {name}")


@schedule.command()
@click.argument("name", shell_complete=completion.schedules)
def resume(name: str) -> None:
    """Let NAME go on with its next due time; what was due meanwhile is left out.

    Example: forktask schedule resume nightly
    """
    _change(name, changes.resumed)
    click.echo(f"resumed {name}")


def _change(name: str, values: Callable[[ScheduleRow, datetime], dict[str, Any]]) -> None:
    with _store() as store:
        for _ in range(3):  # a supervisor may order a run in between
            row = _found(store, name)
            _, now = store.due_schedules(0)
            if (values is changes.resumed and row.paused_at is None) or store.change_schedule(row, values(row, now)):
                return
        raise ScheduleError(f"{name!r} changes all the time; try again")
