"""Write docs/cli.md from the commands themselves: `make docs`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from forktask.cli import group
from forktask.cli.manner import ExitCode

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
CODES = {
    ExitCode.DONE: "all went well; with `--wait` and `follow ID`: the task completed",
    ExitCode.ERROR: "an error, which standard error tells in one line",
    ExitCode.USAGE: "the command line is wrong, or a question could not be asked; nothing was done",
    ExitCode.BUSY: "another worker has the lock of `--exclusive`",
    ExitCode.NOT_IN_TIME: "a worker did not answer, or a task did not end, in time",
    ExitCode.UNKNOWN: "no status has this id, or several begin with it",
    ExitCode.NOT_ALLOWED: "the state of a status does not allow it; of many: that of one or more",
    ExitCode.TASK_FAILED: "with `--wait` and `follow ID`: the task failed",
    ExitCode.TASK_CANCELLED: "… was cancelled",
    ExitCode.TASK_LOST: "… was lost",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.BROKEN_PIPE: "who read the output has left, as `head` does",
}
HEAD = """\
# Command line

Everything that a status, a queue or a worker can do or show, for an operator, for cron and for scripts. `make docs`
writes this page from the commands; `forktask COMMAND --help` says the same.

`forktask` and `flask forktask` are the same commands. The application is named with `--app` (`module:attribute`,
`module:factory()`) before or after the command, or found by `flask`; `FORKTASK_DATABASE_URL` alone is enough for all
that needs no task's code. Run commands as the user of the application: what they start, runs as who they are.

* **For people**: tables, as wide as the terminal, in colour. `NO_COLOR` is obeyed. Times are those of the machine's
  zone, `--utc` says otherwise.
* **For programs**: `--json` is one JSON document, or a line of JSON for each event or status where it streams, with
  times in UTC. In a pipe there is no colour, no bar and nothing is cut.
* **Ids** may be shortened as long as they mean one status. Where an id is asked for, the reference that a person quotes
  (`K7QX-3MFA`) will do, and `-` reads ids from standard input where several may be given.
* **Many at once**: without ids the filters say which. The command shows how many and asks; `--yes` answers.
* **Secrets**: settings whose names look like secrets (`password`, `token`, `api_key`) are shown as `***`.
* **Looking starts nothing**: `list`, `show`, `follow`, `top` and `stats` mark as lost what is lost, and no more.

## Exit codes

| code | means |
|--:|---|
"""
TAIL = """
## Completion

In bash, zsh or fish commands, options and states are completed, ids of statuses in a state that the command takes, and
names of tasks, queues, recurring tasks and supervisors, after this line in `~/.bashrc`, `~/.zshrc` or
`~/.config/fish/completions/forktask.fish`. Where the application or the database cannot be had, nothing is offered and
nothing is said.

```sh
eval "$(_FORKTASK_COMPLETE=bash_source forktask)"    # bash
eval "$(_FORKTASK_COMPLETE=zsh_source forktask)"     # zsh
_FORKTASK_COMPLETE=fish_source forktask | source     # fish
```

`_FLASK_COMPLETE` and `flask` instead do it for `flask forktask`; bash then completes after `--app shop`, and not after
`--app shop:app`, which it takes apart.
"""


def page() -> str:
    """Return the whole page."""
    codes = "\n".join(f"| {int(code)} | {text} |" for code, text in CODES.items())
    commands = [text for name in sorted(group.commands) for text in described(group.commands[name], name)]
    return "\n".join([HEAD.rstrip("\n"), codes, "", "## Commands", "", *commands]).rstrip("\n") + "\n" + TAIL


def described(command: click.Command, name: str) -> Iterator[str]:
    """Yield the lines about one command; those of a group one after the other."""
    if isinstance(command, click.Group):
        for inner in sorted(command.commands):
            yield from described(command.commands[inner], f"{name} {inner}")
        return
    context = click.Context(command, info_name=f"forktask {name}", terminal_width=1000, max_content_width=1000)
    text, _, example = (command.help or "").partition("Example: ")
    yield from (f"### {name}", "", f"`{context.get_usage().partition(': ')[2]}`", "")
    yield from (
        line for part in text.strip().split("\n\n") for line in (*textwrap.wrap(" ".join(part.split()), 120), "")
    )
    options = [one for one in command.params if isinstance(one, click.Option)]
    rows = [record for one in options if (record := one.get_help_record(context)) is not None]
    if rows:
        yield from ("| | |", "|---|---|", *(f"| `{escaped(names)}` | {escaped(text)} |" for names, text in rows), "")
    if example:
        yield from ("```sh", " ".join(example.split()), "```", "")


def escaped(text: str) -> str:
    """Return a text for a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
