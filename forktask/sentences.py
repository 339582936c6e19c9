"""What the person who waits reads when a task ends badly: a sentence, and a reference to quote."""

from __future__ import annotations

import re
import secrets
import signal

from forktask.states import Cause

ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without letters and digits that are mistaken for each other when read aloud."""

SENTENCES = {
    Cause.EXCEPTION: "Something went wrong while this was running.",
    Cause.EXIT: "The process that did the work ended before it was done.",
    Cause.SIGNAL: "The process that did the work was killed.",
    Cause.OUT_OF_MEMORY: "There was not enough memory for this.",
    Cause.TIMEOUT: "This took longer than it may and was stopped.",
    Cause.CANCELLED: "This was cancelled.",
    Cause.INTERRUPTED: "This was interrupted because the service was restarted.",
    Cause.LAUNCH: "This could not be started.",
    Cause.SUPERVISOR_GONE: "This was lost: the process that watched over it is gone.",
}
KILLED_BY = "The process that did the work was killed ({signal})."
POSTPONED = "This could not be done yet."
NO_WORKER = "No worker serves the queue {queue}."
BY_HAND = "This was ended by hand."
TOOK_LONGER = "This took longer than {limit} and was stopped."
TOGETHER = "This was interrupted because another one that ran together with it was cancelled."
OTHERS = (KILLED_BY, TOOK_LONGER, POSTPONED, NO_WORKER, BY_HAND, TOGETHER)

SIZES = {"hour": 3600, "minute": 60, "second": 1}
KILLED_BY_READ = re.compile(re.escape(KILLED_BY).replace(r"\{signal\}", r"(.+)"))
NO_WORKER_READ = re.compile(re.escape(NO_WORKER).replace(r"\{queue\}", r"(.+)"))
TOOK_LONGER_READ = re.compile(
    re.escape(TOOK_LONGER).replace(r"\{limit\}", rf"(\d+(?:\.\d+)?(?:e[+]?\d+)?) ({'|'.join(SIZES)})s?")
)


def sentence(cause: Cause, *, number: int | None = None, limit: float | None = None) -> str:
    """Return the sentence for a cause.

    Args:
        number: The signal, for `Cause.SIGNAL`.
        limit: The timeout in seconds, for `Cause.TIMEOUT`.
    """
    if cause is Cause.SIGNAL and number is not None:
        return KILLED_BY.format(signal=signal_name(number))
    if cause is Cause.TIMEOUT and limit is not None:
        return TOOK_LONGER.format(limit=duration(limit))
    return SENTENCES[cause]


def parts(text: str) -> tuple[str, dict[str, str | float]]:
    """Take a sentence apart, for those who say it in another language.

    Returns:
        The sentence with names in braces, and what stands there: `signal` or `queue`, a name, or `limit`, in seconds.
        A sentence that is none of ours comes back as it is.
    """
    if found := KILLED_BY_READ.fullmatch(text):
        return KILLED_BY, {"signal": found[1]}
    if found := NO_WORKER_READ.fullmatch(text):
        return NO_WORKER, {"queue": found[1]}
    if found := TOOK_LONGER_READ.fullmatch(text):
        return TOOK_LONGER, {"limit": float(found[1]) * SIZES[found[2]]}
    return text, {}


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def duration(seconds: float) -> str:
    """Return seconds as a person says them.

    >>> duration(600)
    '10 minutes'
    """
    for size, word in ((3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return f"{count} {word}{'' if count == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"


def new_reference() -> str:
    """Return eight characters that a person can read out, 39 random bits: `K7QX-3MFA`."""
    text = "".join(secrets.choice(ALPHABET) for _ in range(8))
    return f"{text[:4]}-{text[4:]}"


def words(name: str) -> str:
    """Return the words of a class or function name.

    >>> words("MonthlyReportTask")
    'Monthly report'
    """
    name = name.removesuffix("Task").removesuffix("_task") or name
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", " ", name).strip()
    return text[:1].upper() + " ".join(word if word.isupper() else word.lower() for word in text[1:].split(" "))
