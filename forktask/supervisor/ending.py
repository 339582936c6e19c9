"""How an attempt ended, and what follows from it: the table of causes as code."""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass
from datetime import datetime

from forktask import clock, memory
from forktask.errors import StoreError
from forktask.process import Exit
from forktask.retry import MEMORY_ATTEMPTS
from forktask.rows import End
from forktask.sentences import new_reference, sentence
from forktask.states import Cause, State
from forktask.store import Store
from forktask.supervisor.charge import Charge

log = logging.getLogger("forktask.supervisor")


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the supervisor knows beside the exit.

    Attributes:
        memory_kills: Processes that the kernel has killed for memory since boot.
        memory_attempts: Earlier attempts of the row that ran out of memory.
    """

    memory_kills: int = 0
    memory_attempts: int = 0


def conclude(charge: Charge, exit: Exit, store: Store) -> End:
    """Return the end of an attempt whose process is over, whatever came from it."""
    was_killed = exit.signal == signal.SIGKILL and not charge.goes_on
    kills = memory.out_of_memory_kills() if was_killed else charge.memory_kills
    try:
        is_done = charge.last_word is not None and charge.last_word.get("word") == "done"
        short = not is_done and cause_of(charge, exit, kills) is Cause.OUT_OF_MEMORY
        earlier = _memory_attempts(charge, store) if short else 0
        return end_of(charge, exit, Circumstances(kills, earlier))
    except Exception:  # whatever came from the runner: its end has to be in the table
        log.exception("what the runner pid=%d said cannot be understood", charge.pid)
        return bare_end(charge, exit)


def _memory_attempts(charge: Charge, store: Store) -> int:
    assert charge.row is not None
    try:
        return sum(row.cause is Cause.OUT_OF_MEMORY for row in store.attempts(charge.row.id))
    except StoreError:
        return charge.row.attempt - 1


def cause_of(charge: Charge, exit: Exit, memory_kills: int) -> Cause | None:
    """Return why the attempt ended; None: it is done.

    Only the word *done* makes it so: exit code 0 alone is a failure.
    """
    word = charge.last_word or {}
    if word.get("word") == "done":
        return None
    if charge.stop is not None:
        return charge.stop.cause
    if word.get("word") == "error":
        return Cause(word["cause"])
    if word.get("word") == "exit":
        return Cause.EXIT
    if exit.signal == signal.SIGKILL and memory_kills > charge.memory_kills:
        return Cause.OUT_OF_MEMORY
    if exit.signal is not None or word.get("word") == "stopped":
        return Cause.SIGNAL
    return Cause.EXIT


def end_of(charge: Charge, exit: Exit, circumstances: Circumstances) -> End:
    """Return the end of the attempt, for the table."""
    assert charge.row is not None and charge.definition is not None
    row, definition, word = charge.row, charge.definition, charge.last_word or {}
    cause = cause_of(charge, exit, circumstances.memory_kills)
    number = exit.signal if cause is not Cause.SIGNAL or exit.signal is not None else signal.SIGTERM
    last = charge.sample(always=True)
    state, run_after = follow_up(charge, cause, circumstances.memory_attempts)
    reference = new_reference() if cause not in (None, Cause.CANCELLED) else None
    return End(
        status_id=row.id,
        attempt=row.attempt,
        state=state,
        cause=cause,
        result=word.get("value") if cause is None else None,
        error=(word.get("sentence") or sentence(cause, number=number, limit=definition.timeout)) if cause else None,
        reference=reference,
        run_after=run_after,
        counts=cause is not Cause.INTERRUPTED and not _is_free(charge),
        last=last[1] if last else None,
        supervisor_id=row.supervisor_id,
        pid=charge.pid,
        started_at=charge.started_at,
        finished_at=clock.now(),
        error_class=word.get("class"),
        traceback=word.get("traceback"),
        exit_code=word["code"] if word.get("word") == "exit" else exit.exit_code,
        signal=number,
        cpu_seconds=exit.cpu_seconds,
        peak_memory=exit.peak_memory,
        log_dropped=charge.output.dropped,
        deletes=cause is None and bool(row.delete_on_completion),
    )


def bare_end(charge: Charge, exit: Exit) -> End:
    """Return a failed end from the exit alone, for a runner whose words make no sense."""
    assert charge.row is not None
    cause = charge.stop.cause if charge.stop else Cause.SIGNAL if exit.signal is not None else Cause.EXIT
    return End(
        status_id=charge.row.id,
        attempt=charge.row.attempt,
        state=State.CANCELLED if cause is Cause.CANCELLED else State.FAILED,
        cause=cause,
        error=sentence(cause, number=exit.signal),
        reference=new_reference(),
        supervisor_id=charge.row.supervisor_id,
        pid=charge.pid,
        started_at=charge.started_at,
        finished_at=clock.now(),
        exit_code=exit.exit_code,
        signal=exit.signal,
        cpu_seconds=exit.cpu_seconds,
        peak_memory=exit.peak_memory,
        log_dropped=charge.output.dropped,
    )


def follow_up(charge: Charge, cause: Cause | None, memory_attempts: int) -> tuple[State, datetime | None]:
    """Return the state that follows, and when the next attempt may begin if it is `queued`."""
    assert charge.row is not None and charge.definition is not None
    row, retry = charge.row, charge.definition.retry
    attempts_left = row.attempt < row.max_attempts
    if cause is None:
        return State.COMPLETED, None
    if cause is Cause.CANCELLED:
        return State.CANCELLED, None
    if cause is Cause.INTERRUPTED:
        bound = charge.order is not None and charge.order.bound  # its arguments end with this supervisor
        again = (charge.definition.resumable or attempts_left) and not bound
        return (State.QUEUED, None) if again else (State.FAILED, None)
    if cause is Cause.OUT_OF_MEMORY and memory_attempts + 1 >= MEMORY_ATTEMPTS:
        return State.FAILED, None
    word = charge.last_word or {}
    judged_in_runner = "retry" in word and charge.stop is None
    wanted = bool(word["retry"]) if judged_in_runner else retry.applies(cause)
    if wanted and (attempts_left or _is_free(charge)):
        delay = word["delay"] if judged_in_runner and "delay" in word else retry.delay(row.attempt)
        return State.QUEUED, clock.after(delay)
    return State.FAILED, None


def _is_free(charge: Charge) -> bool:
    """Return True if the attempt asked for the next one itself, and not to be counted."""
    return charge.stop is None and (charge.last_word or {}).get("counts") is False
