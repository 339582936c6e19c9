"""`forktask init`, `deinit` and `check`: the tables, and what they are found with."""

from __future__ import annotations

import json

import click

from forktask import runtime
from forktask.cli import terminal
from forktask.cli.manner import ExitCode, Failure, confirm, json_option, leave, source, yes_option
from forktask.cli.terminal import Column
from forktask.operations import checking
from forktask.operations.supervising import watched
from forktask.selection import EVERYTHING
from forktask.states import LIVE
from forktask.store.schema import statements

SQL = click.option("--sql", is_flag=True, help="Print the statements and change nothing.")
CHECKS = (
    Column(name="WHAT"),
    Column(name="VALUE", elastic=True),
    Column(name="FROM"),
)


def _print_sql(*, drop: bool) -> None:
    for statement in statements(runtime.current().store.database.url, drop=drop):
        click.echo(f"{statement};")


@click.command()
@SQL
def init(sql: bool) -> None:
    """Create the tables; those that exist stay as they are.

    Example: FORKTASK_DATABASE_URL=postgresql://localhost/site forktask init
    """
    if sql:
        _print_sql(drop=False)
        return
    store = runtime.current().store
    store.create_tables()
    click.echo(f"the tables are in {store.database.shown_url}")


@click.command()
@SQL
@click.option("--force", is_flag=True, help="Also while supervisors live, which would create them again.")
@yes_option
def deinit(sql: bool, force: bool, yes: bool) -> None:
    """Drop the tables with all that is in them.

    Example: forktask deinit --sql
    """
    if sql:
        _print_sql(drop=True)
        return
    here = source()
    if not force and (living := [one for one in watched(here) if one.death is None]):
        pids = ", ".join(f"pid {one.row.pid} on {one.row.host}" for one in living)
        raise Failure(f"{pids} would create the tables again: stop it first, or say --force", ExitCode.NOT_ALLOWED)
    counts = here.store.count(EVERYTHING)
    live = sum(counts.get(state, 0) for state in LIVE)
    url = here.store.database.shown_url
    confirm(f"Drop the tables in {url} with {sum(counts.values())} statuses, {live} of them not final?", yes)
    here.store.drop_tables()
    click.echo(f"the tables in {url} are gone")


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Show every setting, where it comes from, and what is found with it: database, tables, application, directory.

    Ends with 1 if something is wrong.

    Example: forktask --app shop:app check
    """
    found = checking.checks(runtime.current())
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], ensure_ascii=False))
    else:
        on = terminal.paper()
        rows = [(one.what, one.value or ("wrong: see below" if one.problem else ""), one.origin) for one in found]
        for line in terminal.table(CHECKS, rows, on):
            terminal.say(line, on=on)
        for one in found:
            if one.problem:
                terminal.say(on.styled(f"{one.what}: {one.problem}", fg="red"), on=on)
    if any(one.problem for one in found):
        leave(ExitCode.ERROR)


COMMANDS = (init, deinit, check)
