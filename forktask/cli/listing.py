"""`forktask list` and `forktask show`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click

from forktask import clock
from forktask.cli import completion, terminal, times
from forktask.cli.bars import progress
from forktask.cli.filters import filters, short_ids
from forktask.cli.manner import json_option, source, utc_option
from forktask.cli.terminal import Column, Paper
from forktask.masking import masked
from forktask.operations.looking import Looker
from forktask.operations.transfer import plain_row, shown_row
from forktask.rows import AttemptRow, LogRow, StatusRow
from forktask.selection import Selection

COLUMNS = (
    Column(name="ID"),
    Column(name="STATE"),
    Column(name="TASK", elastic=True),
    Column(name="PROGRESS", right=True),
    Column(name="QUEUE", elastic=True),
    Column(name="OWNER", elastic=True),
    Column(name="ORDERED"),
    Column(name="MESSAGE", elastic=True),
)


@click.command("list")
@filters
@click.option("--limit", type=click.IntRange(0), default=50, show_default=True, help="Most that are shown; 0: all.")
@click.option("--total", is_flag=True, help="Count all that fit, too.")
@click.option("--ids", "ids_only", is_flag=True, help="Nothing but the ids, a line each.")
@utc_option
@json_option
def list_(selection: Selection, limit: int, **how: Any) -> None:
    """Show statuses, the newest first.

    Example: forktask list --state failed --since '2 hours' --total
    """
    looker = Looker(source())
    found = looker.many(selection, limit)
    total = sum(looker.store.count(selection).values()) if how["total"] else None
    if how["as_json"]:
        rows = [shown_row(row) for row in found]
        click.echo(json.dumps({"total": total, "statuses": rows}, ensure_ascii=False))
        return
    if how["ids_only"]:
        for row in found:
            click.echo(row.id)
        return
    _show_table(list(found), how["utc"])
    if total is not None:
        click.echo(f"{total} in all", err=False)


def _show_table(rows: Sequence[StatusRow], utc: bool) -> None:
    on = terminal.paper()
    ids = short_ids(rows) if on.width is not None else [str(row.id) for row in rows]
    lines = [
        (
            short,
            row.state.value,
            row.task,
            progress(row),
            row.queue or "",
            row.owner or "",
            times.shown(row.created_at, utc),
            row.error or row.message or "",
        )
        for short, row in zip(ids, rows, strict=True)
    ]
    for line in terminal.table(COLUMNS, lines, on):
        terminal.say(line, on=on)


@click.command()
@click.argument("id_", metavar="ID", shell_complete=completion.ids)
@click.option("--log", "tail", type=click.IntRange(0), default=10, show_default=True, help="Last lines of its output.")
@click.option("--with-secrets", is_flag=True, help="Settings that look like secrets as they are.")
@utc_option
@json_option
def show(id_: str, tail: int, with_secrets: bool, utc: bool, as_json: bool) -> None:
    """Show one status with its attempts, the end of its output, and the traceback for operators.

    ID is an id, its beginning, or the reference that a person quotes.

    Example: forktask show K7QX-3MFA
    """
    looker = Looker(source())
    row = looker.one(looker.find(id_))
    attempts = looker.store.attempts(row.id)
    log = looker.store.log_tail(row.id, tail) if tail else []
    if as_json:
        told: dict[str, Any] = {"status": shown_row(row, with_secrets=with_secrets)}
        told |= {"attempts": [plain_row(one) for one in attempts], "log": [plain_row(one) for one in log]}
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    on = terminal.paper()
    for line in _told(row, utc, with_secrets, on):
        terminal.say(line, on=on)
    for one in attempts:
        for line in _attempt(one, utc, on):
            terminal.say(line, on=on)
    for line in _output(log, tail):
        terminal.say(line, on=on)


def _told(row: StatusRow, utc: bool, with_secrets: bool, on: Paper) -> Iterator[str]:
    """Yield what stands in the row, a line each; what is empty is left out."""
    private = {name: getattr(row, name) for name in ("settings", "result", "metadata", "checkpoint")}
    said = {name: value if with_secrets else masked(value) for name, value in private.items()}
    lasted = None if row.started_at is None else ((row.finished_at or clock.now()) - row.started_at).total_seconds()
    facts: dict[str, Any] = {
        "id": row.id,
        "task": f"{row.task} ({row.title})",
        "state": on.state(row.state) + (f" ({row.cause})" if row.cause else ""),
        "progress": progress(row),
        "message": row.message,
        "error": row.error,
        "reference": row.reference,
        **{name: _json(value) for name, value in said.items()},
        "warnings": "; ".join(row.warnings or ()),
        "owner": row.owner,
        "parent": row.parent_id,
        "queue": row.queue and f"{row.queue}, priority {row.priority}",
        "attempt": f"{row.attempt} of {row.max_attempts}",
        "ordered": times.shown(row.created_at, utc, zone=True),
        "not before": times.shown(row.run_after, utc, zone=True),
        "started": times.shown(row.started_at, utc, zone=True),
        "finished": times.shown(row.finished_at, utc, zone=True),
        "lasted": times.length(lasted),
        "pid": row.runner_pid,
    }
    for name, value in facts.items():
        if value not in (None, ""):
            text = str(value) if name == "state" else terminal.plain(str(value))
            yield f"{on.styled(f'{name:<11}', bold=True)} {text}"


def _json(value: Any) -> str:
    return "" if value in (None, {}) else json.dumps(value, ensure_ascii=False)


def _attempt(one: AttemptRow, utc: bool, on: Paper) -> Iterator[str]:
    ended = [str(one.cause or "")]
    ended += [f"exit code {one.exit_code}"] if one.exit_code else []
    ended += [f"signal {one.signal}"] if one.signal else []
    used = [times.length(one.cpu_seconds) and f"{times.length(one.cpu_seconds)} of CPU"]
    used += [f"{one.peak_memory / 1048576:.0f} MiB at most"] if one.peak_memory else []
    about = "  ".join(word for word in (*ended, *used, one.reference or "") if word)
    yield ""
    state = on.state(one.state)
    yield f"{on.styled(f'attempt {one.attempt}', bold=True)}  {state}  {times.shown(one.finished_at, utc)}  {about}"
    for line in (one.traceback or "").splitlines():
        yield f"  {terminal.plain(line)}"


def _output(log: Sequence[LogRow], tail: int) -> Iterator[str]:
    lines = [
        f"{one.level + ' ' if one.level else ''}{terminal.plain(line)}" for one in log for line in one.text.splitlines()
    ][-tail:]
    if lines:
        yield ""
        yield from lines
