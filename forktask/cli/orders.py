"""`forktask cancel`, `pause`, `resume`, `retry`, `delete`, `purge` and `set-state`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import click

from forktask import clock
from forktask.cli import completion, terminal
from forktask.cli.filters import filters, found_ids, ids_argument, refuse_both
from forktask.cli.manner import ExitCode, Failure, confirm, json_option, leave, source, told, yes_option
from forktask.cli.times import Age
from forktask.errors import StateError
from forktask.operations import orders
from forktask.operations.looking import Looker
from forktask.operations.orders import MEANINGS, VERBS, Outcome, Verb
from forktask.operations.transfer import shown_row
from forktask.selection import Selection
from forktask.states import FINAL, UNDER_WAY, State

TEXTS = {
    "cancel": """Ask for the end of statuses: of what waits at once, of what runs at its next report.

    Example: forktask cancel 019ae1b2-7c3d
    """,
    "pause": """Hold statuses where they are: what waits is not begun, what runs is stopped.

    Example: forktask pause --task ReportTask --state queued
    """,
    "resume": """Let paused statuses go on.

    Example: forktask resume --task ReportTask --yes
    """,
    "retry": """Begin another attempt of what failed or was lost; what was cancelled only if --state or an id says so.

    Example: forktask retry --task ReportTask --since '1 day'
    """,
    "delete": """Delete statuses that are final, with their attempts and their output.

    Example: forktask delete 019ae1b2-7c3d
    """,
}


def _command(verb: Verb) -> click.Command:
    """Return the command that gives an order to ids, or to all that fit a selection."""

    @ids_argument
    @filters
    @yes_option
    @json_option
    def command(ids: Sequence[str], selection: Selection, yes: bool, as_json: bool) -> None:
        refuse_both(ids, selection)
        looker = Looker(source())
        wanted = found_ids(looker, ids) if ids else _selected(looker, verb, selection, yes)
        outcomes = [_say(verb, one, as_json) for one in orders.order(looker.source, verb, wanted)]
        if as_json:
            click.echo(json.dumps([_json(one) for one in outcomes], ensure_ascii=False))
        if any(one.error is not None for one in outcomes):
            refused = [one.error for one in outcomes if isinstance(one.error, StateError)]
            leave(ExitCode.NOT_ALLOWED if refused else ExitCode.ERROR)

    command.__doc__ = TEXTS[verb.name]
    return click.command(verb.name)(command)


def _selected(looker: Looker, verb: Verb, selection: Selection, yes: bool) -> list[UUID]:
    """Return the ids that fit, after it was asked."""
    wanted = orders.meant(verb, selection)
    return [row.id for row in looker.many(wanted)] if _are_some(looker, verb.name, wanted, yes) else []


def _are_some(looker: Looker, verb: str, wanted: Selection, yes: bool) -> bool:
    """Ask, unless no status fits; return whether there are some."""
    counts = looker.store.count(wanted)
    if not counts:
        click.echo("no status fits", err=True)
        return False
    total = sum(counts.values())
    shares = ", ".join(f"{counts[state]} {state}" for state in State if state in counts)
    confirm(f"{verb.capitalize()} {total} status{'' if total == 1 else 'es'} ({shares})?", yes)
    return True


def _say(verb: Verb, outcome: Outcome, as_json: bool) -> Outcome:
    on = terminal.paper()
    if outcome.error is not None:
        click.echo(f"{outcome.status_id}: {told(outcome.error)}", err=True)
    elif not as_json:
        asked = outcome.row is not None and (outcome.row.cancel_requested_at or outcome.row.pause_requested_at)
        state = on.state(outcome.row.state) if outcome.row is not None else "deleted"
        about = f", {verb.name} is asked for" if asked and outcome.row and not outcome.row.state.is_final else ""
        terminal.say(f"{outcome.status_id}  {state}{about}", on=on)
    return outcome


def _json(outcome: Outcome) -> dict[str, Any]:
    return {
        "id": str(outcome.status_id),
        "state": outcome.row.state.value if outcome.row is not None else None,
        "error": told(outcome.error) if outcome.error is not None else None,
    }


@click.command()
@click.option("--older-than", "age", type=Age(), required=True, help="What ended longer ago, for example '30 days'.")
@filters
@yes_option
@json_option
def purge(age: timedelta, selection: Selection, yes: bool, as_json: bool) -> None:
    """Delete what became final long ago; with --state only what ended so.

    Example: forktask purge --older-than '30 days' --state completed --yes
    """
    if selection.states - FINAL:
        raise Failure("what has not ended is not purged; cancel it first", ExitCode.USAGE)
    wanted = replace(selection, states=selection.states or FINAL, finished_before=clock.now() - age)
    looker = Looker(source())
    count = sum(orders.purge(looker.source, wanted)) if _are_some(looker, "delete", wanted, yes) else 0
    click.echo(json.dumps({"deleted": count}) if as_json else f"{count} deleted")


@click.command()
@click.argument("id_", metavar="ID", shell_complete=completion.ids)
@click.argument("state", type=click.Choice([state.value for state in MEANINGS]))
@click.option("--force", is_flag=True, help="Also while it runs: its runner is killed.")
@yes_option
@json_option
def set_state(id_: str, state: str, force: bool, yes: bool, as_json: bool) -> None:
    """Write the state of a status by hand, when you know better than the table.

    Says what it means, and asks.

    Example: forktask set-state 019ae1b2-7c3d completed
    """
    looker, target = Looker(source()), State(state)
    status_id = looker.find(id_)
    row = looker.one(status_id)
    confirm(f"{row.task} is {row.state}. {target.capitalize()}: {MEANINGS[target]}. Go on?", yes)
    try:
        row = orders.set_state(looker.source, status_id, target, force=force)
    except StateError as error:
        hint = "; --force does it, and its runner is killed" if not force and error.state in UNDER_WAY else ""
        raise Failure(f"{error}{hint}", ExitCode.NOT_ALLOWED) from error
    on = terminal.paper()
    if as_json:
        click.echo(json.dumps(shown_row(row), ensure_ascii=False))
    else:
        terminal.say(f"{row.id}  {on.state(row.state)}", on=on)


COMMANDS = (*map(_command, VERBS.values()), purge, set_state)
