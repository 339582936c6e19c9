"""`TaskStatus`: what a caller holds of one row."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar, cast, overload
from uuid import UUID

from forktask import clock, runtime, sentences, signals
from forktask.errors import StatusNotFoundError
from forktask.forecast import Place
from forktask.phases import Phase
from forktask.rows import AttemptRow, LogRow, StatusRow, completed
from forktask.runtime import Runtime
from forktask.states import FINAL, LIVE, Cause, State

T = TypeVar("T")


class Named(Protocol):
    """A task, however it was made: it has a registered name."""

    @property
    def name(self) -> str:
        """The registered name."""


class _Column(Generic[T]):
    """Reads the column of its own name from the row as it was last read."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self._index = StatusRow._fields.index(name)

    @overload
    def __get__(self, instance: None, owner: type) -> _Column[T]: ...
    @overload
    def __get__(self, instance: TaskStatus, owner: type) -> T: ...
    def __get__(self, instance: TaskStatus | None, owner: type) -> T | _Column[T]:
        if instance is None:
            return self
        value: Any = instance.row[self._index]
        return cast(T, value)


class TaskStatus:
    """One order to run one task, as it was when last read; `refresh` reads again."""

    id = _Column[UUID]("Unguessable, ordered by time.")
    task = _Column[str]("Registered name of the task.")
    title = _Column[str]("What a person reads.")
    state = _Column[State]("Where it stands.")
    percent = _Column[float | None]("0 to 100; None until something was reported.")
    message = _Column[str | None]("What the task said last.")
    done = _Column[int | None]("Units done.")
    total = _Column[int | None]("Units in all; None where unknown.")
    unit = _Column[str | None]("What `done` and `total` count.")
    settings = _Column[Any]("The settings as JSON gives them back.")
    result = _Column[Any]("What `execute` returned.")
    error = _Column[str | None]("A sentence for the person who waits.")
    cause = _Column[Cause | None]("How the last attempt ended, if it did not complete.")
    reference = _Column[str | None]("What the person quotes, and the operator looks up.")
    warnings = _Column[list[str] | None]("What the task warned of.")
    phases = _Column[list[Phase] | None]("Its steps: `name`, and `state`: done, now or later; None: it has none.")
    metadata = _Column[Any]("The application's own.")
    checkpoint = _Column[Any]("What the last attempt left for the next.")
    owner = _Column[str | None]("Whose it is; opaque to forktask.")
    visitor = _Column[str | None]("Hash of what only the browser has that ordered it without an owner.")
    public = _Column[int]("1: anybody may see it.")
    parent_id = _Column[UUID | None]("The status that started this one.")
    queue = _Column[str | None]("The queue it was left to; None: initiated.")
    priority = _Column[int]("0 to 100, higher first.")
    run_after = _Column[datetime | None]("Earliest time of the next attempt.")
    attempt = _Column[int]("1 for the first.")
    max_attempts = _Column[int]("Attempts in all.")
    cancel_requested_at = _Column[datetime | None]("When its end was asked for.")
    pause_requested_at = _Column[datetime | None]("When a pause was asked for.")
    created_at = _Column[datetime]("When it was ordered.")
    started_at = _Column[datetime | None]("Begin of the present or last attempt.")
    updated_at = _Column[datetime]("Last change of any kind.")
    finished_at = _Column[datetime | None]("When it became final.")

    def __init__(self, row: StatusRow, source: Runtime) -> None:
        self.row = row
        self._runtime = source

    def __repr__(self) -> str:
        percent = "" if self.percent is None else f" {self.percent:g} %"
        return f"<TaskStatus {self.id} {self.task} {self.state}{percent}>"

    @classmethod
    def get(cls, status_id: UUID | str) -> TaskStatus:
        """Return the status with this id, made true: one whose supervisor is gone is `lost`.

        Raises:
            StatusNotFoundError: There is none, or this is no id.
        """
        source = runtime.current()
        return cls(source.get(_as_id(status_id)), source)

    @classmethod
    def find(
        cls,
        *,
        state: State | str | Collection[State | str] = (),
        task: str | Named | None = None,
        owner: str | None = None,
        limit: int = 100,
    ) -> list[TaskStatus]:
        """Return statuses, newest first.

        Args:
            task: A task, or its registered name.

        Raises:
            ValueError: Naming a state that does not exist.
        """
        states = [State(one) for one in ((state,) if isinstance(state, str) else state)]
        name = task if task is None or isinstance(task, str) else task.name
        source = runtime.current()
        return [cls(row, source) for row in source.find(state=states, task=name, owner=owner, limit=limit)]

    @classmethod
    def find_last(
        cls,
        *,
        state: State | str | Collection[State | str] = (),
        task: str | Named | None = None,
        owner: str | None = None,
        running: bool | None = None,
    ) -> TaskStatus | None:
        """Return the newest status that fits, or None.

        Args:
            state: As for `find`; or say `running`.
            running: True: one that has not ended, whether it waits, runs or is paused; False: one that has.
        """
        if running is not None:
            if state:
                raise TypeError("find_last takes state or running, not both")
            state = LIVE if running else FINAL
        found = cls.find(state=state, task=task, owner=owner, limit=1)
        return found[0] if found else None

    @property
    def is_running(self) -> bool:
        """True while an attempt is under way and not paused."""
        return self.state is State.RUNNING

    @property
    def is_final(self) -> bool:
        """True if it completed, failed, was cancelled or lost."""
        return self.state.is_final

    @property
    def place(self) -> Place | None:
        """Its place in its queue: `number`, 1 for the next, and `starts_in` (seconds); None where it has none."""
        return self._runtime.forecast.place(self.row)

    @property
    def remaining(self) -> tuple[float, float] | None:
        """The least and the most seconds that it will still run, rounded for a person; None: nobody can say.

        By its pace and by the last runs of the task, which are asked for every few seconds at most.
        """
        return self._runtime.forecast.remaining(self.row, clock.now())

    @property
    def error_parts(self) -> tuple[str, dict[str, str | float]]:
        """`error` as an English sentence with names in braces, and what stands there; for translation."""
        return sentences.parts(self.error or "")

    def refresh(self) -> TaskStatus:
        """Read the row again; return this object."""
        self._read(lambda: self._runtime.get(self.id))
        return self

    def wait(self, timeout: float | None = None) -> TaskStatus:
        """Wait until it is final, at most `timeout` seconds; wakes at the end. Returns this object."""
        self._read(lambda: self._runtime.wait(self.id, timeout))
        return self

    def _read(self, read: Callable[[], StatusRow]) -> None:
        try:
            self.row = read()
        except StatusNotFoundError:
            if not self.row.delete_on_completion:
                raise
            self.row = completed(self.row)

    def cancel(self) -> TaskStatus:
        """Ask for its end: at the next report, then by SIGTERM, then by SIGKILL."""
        self.row = self._runtime.cancel(self.id)
        return self

    def pause(self) -> TaskStatus:
        """Ask to stop it where it is."""
        self.row = self._runtime.pause(self.id)
        return self

    def resume(self) -> TaskStatus:
        """Let it go on."""
        self.row = self._runtime.resume(self.id)
        return self

    def retry(self) -> TaskStatus:
        """Begin another attempt after it failed, was cancelled or lost."""
        self.row = self._runtime.retry(self.id)
        return self

    def attempts(self) -> list[AttemptRow]:
        """Return the attempts that ended, with cause, traceback, exit code, CPU seconds and peak memory."""
        return self._runtime.store.attempts(self.id)

    def log(self, attempt: int | None = None) -> list[LogRow]:
        """Return the captured output of one attempt, or of all."""
        return self._runtime.store.log(self.id, attempt)


def _as_id(value: UUID | str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except (ValueError, AttributeError, TypeError):
        raise StatusNotFoundError(value) from None


signals.provide_status(TaskStatus.get)
