"""What all commands have in common: errors of one line, exit codes, and questions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, NoReturn, TypeVar

import click

from forktask import registry, runtime
from forktask.errors import ForkTaskError, StateError, StatusNotFoundError, StoreError, UnknownTaskError
from forktask.runtime import Runtime
from forktask.states import State

WHOLE = 1000
"""More characters than a sentence has."""
Command = TypeVar("Command", bound=Callable[..., Any])


class ExitCode(IntEnum):
    """What a command ends with."""

    DONE = 0
    """All went well; of `--wait`: the task completed."""
    ERROR = 1
    """An error, which standard error tells in one line."""
    USAGE = 2
    """The command line is wrong; nothing was done."""
    BUSY = 3
    """Another worker has the lock of `--exclusive`."""
    NOT_IN_TIME = 4
    """A worker did not answer in time, or a task did not end in time."""
    UNKNOWN = 5
    """No status has this id, or several begin with it."""
    NOT_ALLOWED = 6
    """The state of a status does not allow it; of many: that of one or more."""
    TASK_FAILED = 10
    """Of `--wait` and `follow ID`: the task failed."""
    TASK_CANCELLED = 11
    """It was cancelled."""
    TASK_LOST = 12
    """It was lost."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Who read the output has left, as `head` does."""


OUTCOMES = {
    State.COMPLETED: ExitCode.DONE,
    State.FAILED: ExitCode.TASK_FAILED,
    State.CANCELLED: ExitCode.TASK_CANCELLED,
    State.LOST: ExitCode.TASK_LOST,
}


class Failure(click.ClickException):
    """An error of one line, with its exit code."""

    def __init__(self, message: str, code: int = ExitCode.ERROR) -> None:
        super().__init__("; ".join(line.strip() for line in message.splitlines() if line.strip()))
        setattr(self, "exit_code", int(code))  # noqa: B010 - click declares it of the class


class Listed(click.Group):
    """A group whose help says of each command the whole of its first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(WHOLE)) for name, one in found if one is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Commands(Listed):
    """A group of commands that all end in our manner, also under `flask`."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line."""
        with one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with one_line():
            return super().invoke(ctx)


@contextmanager
def one_line() -> Iterator[None]:
    """Tell errors in one line and end with the code for each."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        hint = f"; see {error.ctx.command_path} --help" if error.ctx is not None else ""
        raise Failure(error.format_message().rstrip(".") + hint, ExitCode.USAGE) from error
    except ForkTaskError as error:
        raise Failure(told(error), code_of(error)) from error
    except BrokenPipeError:
        _be_quiet()
        raise click.exceptions.Exit(ExitCode.BROKEN_PIPE) from None
    except KeyboardInterrupt:
        raise click.exceptions.Exit(ExitCode.INTERRUPTED) from None


def told(error: ForkTaskError) -> str:
    """Return what is said of an error."""
    if isinstance(error, StoreError) and error.transient:
        return f"the database cannot be had: {error}"
    if isinstance(error, UnknownTaskError) and not registry.names():
        return f"{error.name!r} is a task of no application: name yours, as in forktask --app shop:app …"
    return str(error)


def code_of(error: ForkTaskError) -> ExitCode:
    """Return what a command ends with."""
    if isinstance(error, StatusNotFoundError):
        return ExitCode.UNKNOWN
    return ExitCode.NOT_ALLOWED if isinstance(error, StateError) else ExitCode.ERROR


def _be_quiet() -> None:
    """Have the interpreter say nothing of what it cannot write at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        return


def source() -> Runtime:
    """Return the runtime, whose tables have to be there."""
    found = runtime.current()
    found.store.expect_tables()
    return found


def confirm(question: str, yes: bool) -> None:
    """Ask before something is done to many; `yes`: it was answered on the command line."""
    if yes:
        return
    if not is_asked():
        raise Failure(f"{question} There is nobody to ask: say --yes", ExitCode.USAGE)
    if not click.confirm(question, err=True):
        raise Failure("nothing was done")


def is_asked() -> bool:
    """Return True if there is somebody who can answer."""
    return sys.stdin.isatty()


def leave(code: int) -> NoReturn:
    """End with a code, quietly."""
    raise click.exceptions.Exit(int(code))


def json_option(command: Command) -> Command:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs, with times in UTC.")(command)


def utc_option(command: Command) -> Command:
    """Add `--utc`."""
    return click.option("--utc", is_flag=True, help="Times in UTC instead of the zone of this machine.")(command)


def yes_option(command: Command) -> Command:
    """Add `--yes`."""
    return click.option("--yes", "-y", is_flag=True, help="Do not ask.")(command)
