"""The tables, in a metadata of our own, and the rows as plain values.

A plain SQLModel table would land in the user's `SQLModel.metadata` and so in their migrations.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, String, Table, text
from sqlalchemy.orm import registry
from sqlalchemy.types import JSON
from sqlmodel import Field, SQLModel

from forktask.columns import AwareUTC, Id, LongText, ShortText, Value
from forktask.limit import NAME_LIMIT
from forktask.states import Cause, StartMethod, State

metadata = MetaData()

MARIADB_OPTIONS = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
"""By code point: in the usual collation the owners `bob` and `Bob` would be the same."""


class Base(SQLModel, registry=registry(metadata=metadata)):
    """Our own root, so that `SQLModel.metadata` stays the user's."""


# Says what a SQLModel Field with a column of its own says, with less noise.
def _column(kind: Any, *, null: bool = True, default: Any = None, key: bool = False) -> Any:
    return Field(default=default, sa_column=Column(kind, nullable=null and not key, primary_key=key))


class StatusTable(Base, table=True):
    """One row: one order to run one task."""

    __tablename__ = "forktask_status"

    id: UUID = _column(Id, key=True)
    task: str = _column(String(255), null=False)
    """Registered name of the task."""
    title: str = _column(ShortText(255), null=False)
    """What a person reads."""
    state: State = _column(Value(State), null=False)
    percent: float | None = _column(Float(53))
    """0 to 100; null until something was reported."""
    message: str | None = _column(LongText)
    done: int | None = _column(BigInteger)
    total: int | None = _column(BigInteger)
    """Null where unknown."""
    unit: str | None = _column(ShortText(40))
    active_seconds: float | None = _column(Float(53))
    """How long the present or last attempt had run at its last report, paused time left out."""
    pace_low: float | None = _column(Float(53))
    """Share of the work a second: the slowest pace that may follow, by the reports of the attempt; null: too few."""
    pace_high: float | None = _column(Float(53))
    """The fastest."""
    settings: Any = _column(JSON(none_as_null=True), null=False)
    result: Any = _column(JSON(none_as_null=True))
    error: str | None = _column(LongText)
    """A safe sentence for the person, from the end of the last attempt."""
    cause: Cause | None = _column(Value(Cause))
    """How the last attempt ended; null if it completed or none ended."""
    reference: str | None = _column(String(20))
    """What a person quotes to the operator, who finds the attempt by it."""
    warnings: Any = _column(JSON(none_as_null=True))
    """List of sentences, from the present or last attempt."""
    phases: Any = _column(JSON(none_as_null=True))
    """List of `{"name": …, "state": …}`, the steps of the present or last attempt; null: it has none."""
    meta: Any = Field(default=None, sa_column=Column("metadata", JSON(none_as_null=True)))
    """The application's own, from `using(metadata=…)`; SQLAlchemy reserves the name on classes."""
    checkpoint: Any = _column(JSON(none_as_null=True))
    """What the last attempt left for the next."""
    owner: str | None = _column(String(255))
    """Opaque to forktask: a user id of the application."""
    visitor: str | None = _column(String(64))
    """Who ordered it without an owner: a hash of what only their browser has."""
    public: bool = _column(Integer, null=False, default=0)
    """1: anybody may see it; acting on it stays with whom it belongs to."""
    parent_id: UUID | None = _column(Id)
    start_method: StartMethod | None = _column(Value(StartMethod))
    """Set where the call said it; else the task and the settings do."""
    bound: int = _column(Integer, null=False, default=0)
    """1: only one supervisor may start it, which alone has the closure or the arguments."""
    application: str | None = _column(String(16))
    """Whose supervisors start it; null: those of any application that knows the task."""
    destination: str | None = _column(String(16))
    """Name of the supervisor that was told of it; others leave it alone while that lives."""
    queue: str | None = _column(String(100))
    """Null: initiated; else the queue that it was left to."""
    limit_name: str | None = _column(String(NAME_LIMIT))
    """Name under which it counts while it runs; null: it has no limit of its own."""
    line: str | None = _column(String(NAME_LIMIT + 1))
    """Where it waits: its queue; with a limit a colon and the name of that; null: initiated, without a limit."""
    lane: str = _column(String(16), null=False, default="")
    """Hash of whose it is; in a line lanes take turns."""
    turn: int = _column(BigInteger, null=False, default=0)
    """Its round in the line: there is one row of each lane, in the order in which they came."""
    later: int = _column(Integer, null=False, default=0)
    """1: it is not in line yet, as its time has not come."""
    priority: int = _column(Integer, null=False, default=50)
    """0 to 100, higher first."""
    run_after: datetime | None = _column(AwareUTC())
    """Earliest time of the next attempt."""
    due_at: datetime = _column(AwareUTC(), null=False)
    """Its place among those of the same turn: `run_after`, or when it came to wait."""
    attempt: int = _column(Integer, null=False, default=1)
    delete_on_completion: int = _column(Integer, null=False, default=0)
    """1: the row is deleted when it has completed."""
    max_attempts: int = _column(Integer, null=False, default=1)
    """Grows with each attempt that does not count."""
    lost_backoff: float | None = _column(Float(53))
    """Seconds to the next attempt after one that was lost, for those who do not know the task; null: none follows."""
    unique_key: str | None = _column(String(64))
    """Hash of what no other row has that is not final; null: it may have many like it."""
    unique_until_start: int = _column(Integer, null=False, default=0)
    """1: the key goes when the first attempt starts."""
    once_key: str | None = _column(String(64))
    """Hash of the form or request that ordered it; the same one again finds this row, as long as it is there."""
    once_content: str | None = _column(String(32))
    """Hash of what was in that request; null: whatever it was."""
    cancel_requested_at: datetime | None = _column(AwareUTC())
    pause_requested_at: datetime | None = _column(AwareUTC())
    engine: str = _column(String(20), null=False, default="local")
    supervisor_id: UUID | None = _column(Id)
    """Whose attempt is under way; kept after it ended."""
    runner_boot_id: str | None = _column(String(64))
    runner_pid_namespace: str | None = _column(String(32))
    runner_pid: int | None = _column(Integer)
    """Identity of the runner; null when no attempt is under way. Its session has the same number."""
    runner_start_ticks: int | None = _column(BigInteger)
    created_at: datetime = _column(AwareUTC(), null=False)
    started_at: datetime | None = _column(AwareUTC())
    """Begin of the present or last attempt."""
    updated_at: datetime = _column(AwareUTC(), null=False)
    """Last write of any kind."""
    finished_at: datetime | None = _column(AwareUTC())


class SupervisorTable(Base, table=True):
    """A process that forks runners; its row tells whether its tasks can be alive."""

    __tablename__ = "forktask_supervisor"

    id: UUID = _column(Id, key=True)
    application: str = _column(String(64), null=False)
    """The same for all versions of one application on one host."""
    name: str = _column(String(16), null=False)
    """Of its socket: the same for all web processes that it serves; empty if it serves none."""
    version: str = _column(String(255), null=False)
    host: str = _column(ShortText(255), null=False)
    kind: str = _column(String(20), null=False)
    """embedded, worker, fork (one order of a script) or inline."""
    queues: Any = _column(JSON(none_as_null=True))
    """Of a worker: list of the queues that it serves; null where it runs one status alone, or was told to end."""
    tasks: Any = _column(JSON(none_as_null=True))
    """Of a worker: list of the names of the tasks that it takes from them."""
    processes: int | None = _column(Integer)
    """Of a worker: most runners at once."""
    held_at: datetime | None = _column(AwareUTC())
    """Since when a worker takes nothing, as all were told to."""
    boot_id: str = _column(String(64), null=False)
    pid_namespace: str = _column(String(32), null=False)
    pid: int = _column(Integer, null=False)
    start_ticks: int = _column(BigInteger, null=False)
    started_at: datetime = _column(AwareUTC(), null=False)
    heartbeat_at: datetime = _column(AwareUTC(), null=False)
    """By the clock of the database."""
    stopped_at: datetime | None = _column(AwareUTC())
    """Set when it left in good order."""


class AttemptTable(Base, table=True):
    """One attempt that ended; append-only."""

    __tablename__ = "forktask_attempt"

    status_id: UUID = _column(Id, key=True)
    attempt: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    state: State = _column(Value(State), null=False)
    """What the end made of the status; `queued` where another attempt follows."""
    cause: Cause | None = _column(Value(Cause))
    reference: str | None = _column(String(20))
    error: str | None = _column(LongText)
    error_class: str | None = _column(ShortText(255))
    traceback: str | None = _column(LongText)
    """For operators only."""
    exit_code: int | None = _column(Integer)
    signal: int | None = _column(Integer)
    cpu_seconds: float | None = _column(Float(53))
    """User and system time of the runner and of its children that were waited for."""
    peak_memory: int | None = _column(BigInteger)
    """Bytes of resident memory at most, of the runner or of its largest child."""
    log_dropped: int = _column(BigInteger, null=False, default=0)
    """Bytes of output beyond the limit."""
    supervisor_id: UUID | None = _column(Id)
    pid: int | None = _column(Integer)
    started_at: datetime | None = _column(AwareUTC())
    finished_at: datetime = _column(AwareUTC(), null=False)


class LogTable(Base, table=True):
    """Captured output of an attempt, in pieces of whole lines; append-only."""

    __tablename__ = "forktask_log"

    status_id: UUID = _column(Id, key=True)
    attempt: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    position: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    """0, 1, 2 … in the order of the output."""
    at: datetime = _column(AwareUTC(), null=False)
    """When the supervisor read it."""
    level: str | None = _column(ShortText(10))
    """Null: standard output or standard error; else the level of a logging record."""
    logger: str | None = _column(ShortText(255))
    text: str = _column(LongText, null=False)


class CompletionTable(Base, table=True):
    """One call of an application's completion hook, so that it is called once."""

    __tablename__ = "forktask_completion"

    status_id: UUID = _column(Id, key=True)
    hook: str = Field(sa_column=Column(String(255), primary_key=True))
    """Its registered name."""
    holder: UUID = _column(Id, null=False)
    """Drawn by who calls it."""
    called_at: datetime = _column(AwareUTC(), null=False)
    """While it is under way, when its process last said so."""
    returned_at: datetime | None = _column(AwareUTC())
    """Null while it is under way."""
    next_url: str | None = _column(LongText)
    """Where it sends the person; null: where the page says."""


class QueueTable(Base, table=True):
    """What was said of a queue; one of which nothing was said has no row."""

    __tablename__ = "forktask_queue"

    name: str = Field(sa_column=Column(String(100), primary_key=True))
    """`*`: all queues of all workers."""
    paused_at: datetime | None = _column(AwareUTC())
    """Set: nothing is taken from it; what runs goes on."""
    running: int | None = _column(Integer)
    """Most of it that run at once; null: any number."""
    rate: int | None = _column(Integer)
    """Most of it that begin within `per` seconds; null: any number."""
    per: float | None = _column(Float(53))
    next_at: datetime | None = _column(AwareUTC())
    """When the next one may begin, as `rate` has it, by the clock of the database."""


class LimitTable(Base, table=True):
    """A limit of tasks, as the last order said it; who claims under it locks its row."""

    __tablename__ = "forktask_limit"

    name: str = Field(sa_column=Column(String(NAME_LIMIT), primary_key=True))
    running: int | None = _column(Integer)
    """As in a queue; so the others."""
    rate: int | None = _column(Integer)
    per: float | None = _column(Float(53))
    next_at: datetime | None = _column(AwareUTC())


STATUS: Table = StatusTable.__table__  # type: ignore[attr-defined]  # SQLModel does not declare it
SUPERVISOR: Table = SupervisorTable.__table__  # type: ignore[attr-defined]
ATTEMPT: Table = AttemptTable.__table__  # type: ignore[attr-defined]
LOG: Table = LogTable.__table__  # type: ignore[attr-defined]
QUEUE: Table = QueueTable.__table__  # type: ignore[attr-defined]
LIMIT: Table = LimitTable.__table__  # type: ignore[attr-defined]
COMPLETION: Table = CompletionTable.__table__  # type: ignore[attr-defined]

LIVE_STATES = text("state IN ('queued', 'running', 'paused')")
"""Has to stand in a query in these very words, or SQLite does not see that the partial index serves it."""
QUEUED_STATE = text("state = 'queued'")
COMPLETED_STATE = text("state = 'completed'")
UNIQUE_KEY: Final = "forktask_status_unique"
"""Name of the index by which no two rows that live have the same key."""
UNIQUE_LIVE: Final = "unique_live"
"""Name of the column that it is on where an index cannot be partial: `store/schema.py`."""
