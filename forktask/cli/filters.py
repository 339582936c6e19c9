"""Which statuses a command is for: ids, or a selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Any
from uuid import UUID

import click

from forktask import registry
from forktask.cli import completion
from forktask.cli.manner import ExitCode, Failure
from forktask.cli.times import Since
from forktask.operations.looking import Looker
from forktask.rows import StatusRow
from forktask.selection import Selection
from forktask.states import State

Command = Callable[..., Any]
STATES = [state.value for state in State]
SHORT = 13
"""Least characters of an id that is shown shortened: up to the millisecond."""


def filters(command: Command) -> Command:
    """Add the options of a selection; the command gets `selection`."""

    @click.option(
        "--state",
        "states",
        multiple=True,
        type=click.Choice([state.value for state in State]),
        help="May be given again.",
    )
    @click.option("--task", shell_complete=completion.tasks, help="Registered name, or its last part.")
    @click.option("--queue", shell_complete=completion.queues, help="Name of a queue.")
    @click.option("--owner", help="Whose they are.")
    @click.option("--since", type=Since(), help="Ordered then or later: a time, or how long ago, as '2 hours'.")
    @wraps(command)
    def with_selection(
        *args: Any, states: Sequence[str], task: str | None, since: datetime | None, **named: Any
    ) -> Any:
        selection = Selection(
            states=frozenset(State(one) for one in states),
            task=registry.full_name(task) if task else None,
            queue=named.pop("queue"),
            owner=named.pop("owner"),
            since=since,
        )
        return command(*args, selection=selection, **named)

    return with_selection


def ids_argument(command: Command) -> Command:
    """Add ids, any number of them."""
    return click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=completion.ids)(command)


def found_ids(looker: Looker, texts: Sequence[str]) -> list[UUID]:
    """Return the ids that are meant; `-` stands for the lines of standard input."""
    words = [word for text in texts for word in (_lines() if text == "-" else [text])]
    return list(dict.fromkeys(looker.find(word) for word in words))


def _lines() -> list[str]:
    with click.open_file("-") as file:
        return [line.split()[0] for line in file if line.strip()]


def refuse_both(ids: Sequence[str], selection: Selection) -> None:
    """Refuse a command line that names ids and a selection, or neither."""
    if ids and not selection.is_empty:
        raise Failure("say either ids or a selection such as --state failed, not both", ExitCode.USAGE)
    if not ids and selection.is_empty:
        raise Failure("say which: ids, or a selection such as --state failed", ExitCode.USAGE)


def short_ids(rows: Sequence[StatusRow]) -> list[str]:
    """Return ids as short as they can be told apart."""
    texts = [str(row.id) for row in rows]
    length = SHORT
    while length < 36 and len({text[:length] for text in texts}) < len(texts):
        length += 5 if length < 23 else 1
    return [text[:length].rstrip("-") for text in texts]
