"""What a shell completes beside commands and options: ids, and the names of what there is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from uuid import UUID

import click
from click.shell_completion import BashComplete, CompletionItem

from forktask import registry
from forktask.cli.discovery import surroundings
from forktask.cli.manner import source
from forktask.operations.orders import VERBS
from forktask.operations.supervising import watched
from forktask.queuename import ALL_QUEUES
from forktask.selection import EVERYTHING, Selection, range_of_prefix
from forktask.states import FINAL, State

MOST = 50
"""Ids that are offered, the newest ones."""
RECENT = 200
"""Rows that tell the names of tasks where no application does."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Found = Iterable[tuple[str, str]]
"""Values, each with what a shell may say about it."""
STATES = {name: verb.states for name, verb in VERBS.items()} | {"retry": FINAL - {State.COMPLETED}}
"""In which states a command takes statuses; any other takes all."""


class Bash(BashComplete):
    """Completion in bash, which takes `shop:app` and `--state=failed` apart into three words."""

    name = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and what there is of that one."""
        words, incomplete = super().get_completion_args()
        return rejoined(words), incomplete


def rejoined(words: Sequence[str]) -> list[str]:
    """Return words as they were typed, but for the `=` after the name of an option."""
    found: list[str] = []
    is_open = False
    for word in words:
        if word == "=" and found and found[-1].startswith("-"):
            continue
        is_break = word in (":", "=")
        if found and (is_break or is_open):
            found[-1] += word
        else:
            found.append(word)
        is_open = is_break
    return found


def _completer(find: Callable[[click.Context, str], Found]) -> Complete:
    """Return what click asks: all that begins so, in the application's surroundings, without a word."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        named = context
        while named.parent is not None and "app" not in named.params:
            named = named.parent
        try:
            with redirect_stdout(StringIO()), redirect_stderr(StringIO()), surroundings(named.params["app"], named):
                return [CompletionItem(value, help=about) for value, about in find(context, incomplete)]
        except (Exception, SystemExit):  # what the application or the database does is not for someone who types
            return []

    return complete


def _ids(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    ends = range_of_prefix(incomplete)
    if incomplete and ends is None:
        return
    before = UUID(int=ends[1].int + 1) if ends is not None and ends[1].int + 1 < 1 << 128 else None
    wanted = Selection(states=STATES.get(context.info_name or "", frozenset()))
    for row in source().store.listed(wanted, limit=MOST, before=before):
        if str(row.id).startswith(incomplete.lower()):
            yield str(row.id), f"{row.task} {row.state}"


def _tasks(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    names = registry.names() or sorted({row.task for row in source().store.listed(EVERYTHING, limit=RECENT)})
    whole = [name for name in names if name.startswith(incomplete)]
    last = {name.rpartition(".")[2] for name in names} if not whole else set()
    yield from ((name, "") for name in whole or sorted(last) if name.startswith(incomplete))


def _queues(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    store = source().store
    names = {row.name for row in store.queue_rows()} | set(store.queue_counts())
    yield from ((name, "") for name in sorted(names - {ALL_QUEUES}) if name.startswith(incomplete))


def _schedules(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    rows, _ = source().store.schedules()
    yield from ((row.name, row.task) for row in rows if row.name.startswith(incomplete))


def _supervisors(context: click.Context, incomplete: str) -> Iterator[tuple[str, str]]:
    for one in watched(source()):
        if one.death is None and str(one.row.pid).startswith(incomplete):
            yield str(one.row.pid), one.row.kind


ids, tasks, queues, schedules, supervisors = map(_completer, (_ids, _tasks, _queues, _schedules, _supervisors))
