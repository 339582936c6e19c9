"""The command line: `forktask …` and `flask forktask …`."""

from forktask.cli.entry import group, main

__all__ = ["group", "main"]
