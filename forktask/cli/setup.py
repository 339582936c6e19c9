"""`forktask init`: the tables."""

from __future__ import annotations

import click

from forktask import runtime


@click.command()
def init() -> None:
    """Create the tables; those that exist stay as they are.

    Example: FORKTASK_DATABASE_URL=postgresql://localhost/site forktask init
    """
    store = runtime.current().store
    store.create_tables()
    click.echo(f"the tables are in {store.database.shown_url}")


COMMANDS = (init,)
