"""Why an application cannot be imported, in one line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import click

from forktask.cli.manner import ExitCode, Failure
from forktask.errors import ApplicationNotFoundError, ConfigurationError, ForkTaskError

OURS = re.compile(r"/forktask/(application|cli)/")
"""Files of which nobody wants to hear why an application cannot be imported."""


@contextmanager
def explained(reference: str) -> Iterator[None]:
    """Tell what an application raises at its import, and where, instead of a traceback."""
    try:
        yield
    except ApplicationNotFoundError as error:
        raise Failure(str(error), ExitCode.USAGE) from error
    except (ConfigurationError, Failure):
        raise
    except click.ClickException as error:
        cause = error.__context__
        if not isinstance(cause, ImportError) or "Traceback" not in error.format_message():
            raise
        raise Failure(_reason(reference, cause)) from error
    except (Exception, SystemExit) as error:  # the application's own code may raise anything
        raise Failure(_reason(reference, error)) from error


def _reason(reference: str, error: BaseException) -> str:
    what = str(error) if isinstance(error, ForkTaskError) else f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return f"{reference} cannot be imported: {what}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and not OURS.search(frame.filename)
    ]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{reference} cannot be imported: {what}{where}"
