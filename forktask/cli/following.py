"""`forktask follow`: output and moves, live."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import click

from forktask import clock
from forktask.cli import terminal, times
from forktask.cli.filters import SHORT, filters, found_ids, ids_argument
from forktask.cli.manner import OUTCOMES, ExitCode, Failure, json_option, leave, source, told, utc_option
from forktask.cli.terminal import Paper
from forktask.errors import StoreError
from forktask.operations.following import Event, Follower
from forktask.operations.looking import Looker
from forktask.selection import Selection

INTERVAL = 0.5
"""Seconds between looks at the tables."""


def _pattern(context: click.Context, parameter: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is no regular expression: {error}") from error


@click.command()
@ids_argument
@filters
@click.option("--grep", callback=_pattern, metavar="REGEX", help="Only lines and moves in which this is found.")
@utc_option
@json_option
def follow(ids: Sequence[str], selection: Selection, grep: re.Pattern[str] | None, utc: bool, as_json: bool) -> None:
    """Show what tasks print and log, and how their states change, as it happens; Ctrl-C ends it.

    With ids: from the beginning, until all have ended; the exit code says how. Else all that fit, from now on or
    from --since. --json: a line of JSON each.

    Example: forktask follow --task ReportTask --since '10 minutes' --grep error
    """
    if ids and selection != Selection(since=selection.since):
        raise Failure("say either ids or a selection such as --task, not both", ExitCode.USAGE)
    looker = Looker(source())
    wanted = found_ids(looker, ids)
    follower = Follower(looker, selection, wanted, since=selection.since)
    on = terminal.paper()
    try:
        while True:
            _say(follower, grep, lambda event: _line(event, utc, as_json, on), on)
            if follower.is_over:
                break
            clock.sleep(INTERVAL)
    except KeyboardInterrupt:
        leave(ExitCode.DONE)
    leave(max(OUTCOMES[row.state] for row in follower.rows.values()))


def _say(follower: Follower, grep: re.Pattern[str] | None, line: Any, on: Paper) -> None:
    """Say what is new; while the database is away, that."""
    try:
        events = follower.events()
    except StoreError as error:
        if not error.transient:
            raise
        click.echo(told(error), err=True)
        return
    for event in events:
        if grep is None or grep.search(event.text) or (event.state is not None and grep.search(event.state)):
            terminal.say(line(event), on=on)


def _line(event: Event, utc: bool, as_json: bool, on: Paper) -> str:
    if as_json:
        return json.dumps(event.as_json(), ensure_ascii=False)
    head = f"{times.of_day(event.at, utc)} {str(event.status_id)[:SHORT]} {event.task}"
    if event.state is not None:
        return f"{on.styled(head, dim=True)} → {on.state(event.state)} {terminal.plain(event.text)}".rstrip()
    level = f"{event.level} " if event.level else ""
    return f"{on.styled(head, dim=True)} | {level}{terminal.plain(event.text)}"
