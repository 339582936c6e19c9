"""Everything that forktask raises.

ForkTaskError
├── ConfigurationError (ValueError)      a setting is wrong or missing
├── ApplicationNotFoundError (LookupError)   which application should the runner import?
├── SettingsError (ValueError)           the settings of a task are not JSON, too large or invalid
├── StatusNotFoundError (LookupError)    no status has this id
│   └── AmbiguousIdError                 several ids begin like this
├── StateError                           the state of the status does not allow this
│   ├── DuplicateError                   nor does that of another one like it, which has not ended
│   └── BatchError                       nor do those that run together with it
├── UnknownTaskError (LookupError)       no task of this name is registered
├── EnqueueError                         this task cannot be left to a queue
├── ScheduleError (ValueError)           a recurring task is declared wrongly, or there is none of this name
├── ImportedError (ValueError)           a line of a file is no exported status
├── LaunchError                          no process could be started
├── StoreError                           the database did not do what was asked
└── TaskError                            raised by a task: its text is shown to the person

TaskStopped (BaseException)              raised inside `execute`: cancelled, or asked to end
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID


class ForkTaskError(Exception):
    """The root of every error of forktask."""


class ConfigurationError(ForkTaskError, ValueError):
    """One or more settings are wrong; the text names each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class ApplicationNotFoundError(ForkTaskError, LookupError):
    """The application cannot be named so that another process can import it."""


class SettingsError(ForkTaskError, ValueError):
    """A value that is to be stored as JSON is refused.

    Attributes:
        path: Where the value stands, as Python would index it: `settings['rows'][3]`.
        problem: What is wrong with it.
    """

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path} {problem}")


class StatusNotFoundError(ForkTaskError, LookupError):
    """No status has this id.

    Attributes:
        near: Ids that look like it.
    """

    def __init__(self, status_id: UUID | str, near: Iterable[UUID] = ()) -> None:
        self.status_id = status_id
        self.near = tuple(near)
        hint = f"; did you mean {' or '.join(map(str, self.near))}?" if self.near else ""
        super().__init__(f"no status has the id {status_id}{hint}")


class AmbiguousIdError(StatusNotFoundError):
    """Several ids begin like this; `near` are some of them."""

    def __init__(self, beginning: str, near: Iterable[UUID]) -> None:
        super().__init__(beginning, near)
        self.args = (f"several ids begin with {beginning}: {', '.join(map(str, self.near))}",)


class StateError(ForkTaskError):
    """The state of a status does not allow what was asked."""

    def __init__(self, verb: str, state: str, allowed: Iterable[str]) -> None:
        self.verb = verb
        self.state = state
        self.allowed = tuple(allowed)
        super().__init__(f"cannot {verb} a status that is {state}; it must be {' or '.join(self.allowed)}")


class DuplicateError(StateError):
    """The task has one status of a kind at a time, and another one of this kind has not ended.

    Attributes:
        status_id: The one that has not ended.
    """

    def __init__(self, task: str, status_id: UUID, state: str) -> None:
        self.task = task
        self.status_id = status_id
        self.verb, self.state, self.allowed = "begin", state, ()
        text = f"{task} is unique: status {status_id} like this one is {state}; wait for its end or cancel it"
        ForkTaskError.__init__(self, text)


class BatchError(StateError):
    """What was asked would hold for others, too, which run together with the status.

    Attributes:
        others: How many.
    """

    def __init__(self, verb: str, state: str, others: int) -> None:
        self.others = others
        self.verb, self.state, self.allowed = verb, state, ()
        batch = f"runs in a batch with {others} other{'' if others == 1 else 's'}"
        ForkTaskError.__init__(self, f"cannot {verb} a status that {batch}: they would stand still, too")


class UnknownTaskError(ForkTaskError, LookupError):
    """No task of this name is registered in this process."""

    def __init__(self, name: str, near: Iterable[str] = ()) -> None:
        self.name = name
        self.near = tuple(near)
        hint = f"; did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__(f"no task is registered as {name!r}; is its module imported by the application{hint or '?'}")


class EnqueueError(ForkTaskError):
    """The task cannot be left to a queue."""


class ScheduleError(ForkTaskError, ValueError):
    """A recurring task is declared wrongly, or there is none of this name; the text says which and why."""


class ImportedError(ForkTaskError, ValueError):
    """A line of a file is no exported status, or may not be brought in; the text says which and why."""


class LaunchError(ForkTaskError):
    """No process could be started for the task."""


class StoreError(ForkTaskError):
    """The database did not do what was asked; the driver's error is the cause.

    Attributes:
        transient: True if the same call may do later: it is away, busy or full.
    """

    transient: bool = True


class TaskError(ForkTaskError):
    """Raise it in `execute` to fail with a sentence that the person who waits may read."""


class TaskStopped(BaseException):
    """Raised inside `execute` at the next report, or by SIGTERM, when the runner has to end.

    Let it pass, or clean up and raise it again. It is no `Exception`, so that `except Exception`
    in a task does not swallow it (as `asyncio.CancelledError`).
    """


class ShellArgumentsWarning(UserWarning):
    """Shell arguments can be read by every user of the host while the task runs."""
