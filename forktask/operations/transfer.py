"""Statuses as lines of JSON, out of one database and into another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from forktask.errors import ImportedError, StoreError
from forktask.masking import masked, secrets
from forktask.operations.looking import Looker
from forktask.rows import AttemptRow, LogRow, StatusRow
from forktask.runtime import Runtime
from forktask.selection import Selection
from forktask.sentences import sentence
from forktask.states import Cause, StartMethod, State

FORMAT: Final = 1
MASKED: Final = ("settings", "result", "metadata", "checkpoint")
"""What an application writes, and so may hold a secret."""
NOWHERE: Final[dict[str, Any]] = dict.fromkeys(
    ("supervisor_id", "runner_boot_id", "runner_pid_namespace", "runner_pid", "runner_start_ticks", "destination")
)
"""What says nothing in another database."""
IDS: Final = frozenset({"id", "parent_id", "supervisor_id", "status_id"})
TIMES: Final = frozenset({"run_after", "at"})
ENUMS: Final = {"state": State, "cause": Cause, "start_method": StartMethod}


def plain_row(row: Any) -> dict[str, Any]:
    """Return a row as JSON: ids and states as text, times as ISO 8601 in UTC."""
    return {name: _plain(value) for name, value in row._asdict().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | State | Cause | StartMethod) else value


def shown_row(row: StatusRow, *, with_secrets: bool = False) -> dict[str, Any]:
    """Return a status as JSON for people and programs, with its secrets masked."""
    said = plain_row(row)
    return said if with_secrets else said | {name: masked(said[name]) for name in MASKED}


def exported(
    source: Runtime, selection: Selection, *, with_secrets: bool = False, with_log: bool = True
) -> Iterator[dict[str, Any]]:
    """Yield each status that fits with its attempts and its output, the newest first."""
    for row in Looker(source).many(selection):
        hidden = [] if with_secrets else [path for name in MASKED for path in secrets(getattr(row, name), name)]
        yield {
            "forktask": FORMAT,
            "status": shown_row(row, with_secrets=with_secrets),
            "attempts": [plain_row(one) for one in source.store.attempts(row.id)],
            "log": [plain_row(one) for one in source.store.log(row.id)] if with_log else [],
            "masked": hidden,
        }


@dataclass(slots=True)
class Tally:
    """What became of the lines of a file."""

    imported: int = 0
    there: int = 0
    """Their ids are in the table."""
    refused: list[str] = field(default_factory=list)
    """Why others were not taken, each with the number of its line."""


def imported(source: Runtime, lines: Iterable[str], *, paused: bool = False) -> Tally:
    """Bring statuses in; those that are there stay as they are.

    Args:
        paused: What waits is held back until it is resumed.

    Raises:
        ImportedError: A line is no exported status; those before it are in the table.
    """
    tally = Tally()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row, attempts, log = _read(line, paused=paused)
            is_new = source.store.bring_in(row, attempts, log)
        except ImportedError as error:
            raise ImportedError(f"line {number}: {error}") from error
        except StoreError as error:
            if error.transient:
                raise
            tally.refused.append(f"line {number}: {error}")
            continue
        tally.imported += is_new
        tally.there += not is_new
    return tally


def _read(line: str, *, paused: bool) -> tuple[StatusRow, list[AttemptRow], list[LogRow]]:
    try:
        told = json.loads(line)
        if not isinstance(told, dict) or told.get("forktask") != FORMAT:
            raise ImportedError("it is no status that forktask exported")
        row = _row(StatusRow, told["status"])
        attempts = [_row(AttemptRow, one) for one in told.get("attempts", [])]
        log = [_row(LogRow, one) for one in told.get("log", [])]
    except ImportedError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImportedError(f"it is no exported status: {error}") from error
    if any(part.status_id != row.id for part in (*attempts, *log)):
        raise ImportedError(f"it holds parts of another status than {row.id}")
    return _at_home(row, told.get("masked") or [], paused=paused), attempts, log


def _row(kind: Any, told: Mapping[str, Any]) -> Any:
    if unknown := sorted(set(told) - set(kind._fields)):
        raise ImportedError(f"this version of forktask knows no {', '.join(unknown)}")
    values = dict.fromkeys(kind._fields) | {name: _value(name, value) for name, value in told.items()}
    return kind(**values)


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in IDS:
        return UUID(value)
    if name in TIMES or name.endswith("_at"):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ImportedError(f"{name}={value!r} has no time zone")
        return moment
    return ENUMS[name](value) if name in ENUMS else value


def _at_home(row: StatusRow, hidden: list[str], *, paused: bool) -> StatusRow:
    """Return the row as it can be here: nobody watches over what was under way elsewhere."""
    is_lost = not row.state.is_final and (row.runner_pid is not None or row.state is State.RUNNING or bool(row.bound))
    row = row._replace(**NOWHERE)
    if is_lost:
        end: dict[str, Any] = {"cause": Cause.SUPERVISOR_GONE, "error": sentence(Cause.SUPERVISOR_GONE)}
        row = row._replace(state=State.LOST, finished_at=row.updated_at, **end)
    if hidden and not row.state.is_final:
        raise ImportedError(f"{hidden[0]} was masked when {row.id} was exported, which is still to run: --with-secrets")
    if hidden:
        row = row._replace(bound=1)  # it cannot be run again: what it needs is not stored
    return row._replace(state=State.PAUSED) if paused and row.state is State.QUEUED else row
