"""`forktask export` and `forktask import`."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click

from forktask.cli.filters import filters
from forktask.cli.manner import ExitCode, leave, source
from forktask.operations import transfer
from forktask.runtime import current
from forktask.selection import Selection


@click.command("export")
@filters
@click.option("--with-secrets", is_flag=True, help="Settings that look like secrets as they are.")
@click.option("--log/--no-log", default=True, show_default=True, help="With what the attempts have put out.")
@click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file instead.")
def export(selection: Selection, with_secrets: bool, log: bool, output: TextIO) -> None:
    """Write statuses as lines of JSON, the newest first, with their attempts and output.

    What looks like a secret is masked; a status that has not ended then cannot be imported.

    Example: forktask export --state failed --since '1 day' --output failed.jsonl
    """
    for line in transfer.exported(source(), selection, with_secrets=with_secrets, with_log=log):
        click.echo(json.dumps(line, ensure_ascii=False), file=output)


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--paused", is_flag=True, help="Hold what waits back until it is resumed.")
def import_(file: TextIO, **how: Any) -> None:
    """Bring in statuses that `export` wrote to FILE (- is standard input); those that are there stay as they are.

    What was under way elsewhere is lost here; what waits is run here, too.

    Example: forktask import failed.jsonl
    """
    tally = transfer.imported(current(), file, paused=how["paused"])
    for reason in tally.refused:
        click.echo(reason, err=True)
    click.echo(f"{tally.imported} imported, {tally.there} there before, {len(tally.refused)} refused")
    if tally.refused:
        leave(ExitCode.NOT_ALLOWED)
