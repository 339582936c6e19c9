"""`Task` and `@task`: what a user writes."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast, overload

from typing_extensions import Unpack

from forktask import registry
from forktask.batch import results_of
from forktask.configured import ConfiguredTask, remember
from forktask.declaration import (
    check_function,
    check_methods,
    declared_batch,
    declared_phases,
    declared_rules,
    declared_timeout,
    overridden,
    settings_check,
    settings_parser,
)
from forktask.definition import TaskDefinition
from forktask.errors import ShellArgumentsWarning
from forktask.limit import Limit
from forktask.live import LiveStatus
from forktask.options import Options, TaskOptions
from forktask.retry import NO_RETRY, Retry
from forktask.rules import OnConflict, UniqueUntil
from forktask.schedule import Declaration, Interval, Recurrence
from forktask.sentences import words
from forktask.states import StartMethod
from forktask.status import TaskStatus

P = ParamSpec("P")
R = TypeVar("R")


class Task(ABC):
    """A task: subclass it, write `execute`, call `initiate`.

    Class attributes:
        name: Stable name in the table; default: module and class.
        title: What a person reads; default: the words of the class name.
        timeout: Seconds that one attempt may run; None: as long as it takes.
        retry: When a failed attempt is run again; default: never.
        resumable: An interrupted attempt (deploy, shutdown) is always followed by another.
        start_method: Instead of the one in the settings; `spawn` if `get_shell_arguments` is overridden.
        shell_arguments_encrypted: Says that `get_shell_arguments` returns nothing readable.
        phases: Names of its phases, in their order, so that the bar shows from the start those to come.
        unique: At most one lives (waits or runs) with the same `settings`, of the same `owner`, or with this key
            (any other text).
        unique_until: `final`, or `started`: from the start of its first attempt another one may wait.
        on_conflict: With one that lives: `join` returns its status, `refuse` raises `DuplicateError`, `replace`
            cancels it.
        require_worker: `enqueue` fails the status at once if no live worker serves its queue.
        inline_below: It runs at once in the caller's process if `size(settings)` is below this; there no `timeout`
            ends it, and if it fails the next attempt is left to the background.
        delete_on_completion: The row is deleted when it has completed; one that fails stays.
        limit: How many run at once, and how many begin in a time: see `Limit`; the others wait.
        batch: Most statuses that `execute_batch` gets at once: those that wait in one queue when it is their turn.
        Settings: A pydantic model; then `status.settings` is an instance of it.

    A task has no state: an instance is made without arguments for each attempt, in the runner.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    timeout: ClassVar[float | None] = None
    retry: ClassVar[Retry] = NO_RETRY
    resumable: ClassVar[bool] = False
    start_method: ClassVar[StartMethod | str | None] = None
    phases: ClassVar[Sequence[str]] = ()
    unique: ClassVar[str | None] = None
    unique_until: ClassVar[UniqueUntil] = "final"
    on_conflict: ClassVar[OnConflict] = "join"
    require_worker: ClassVar[bool] = False
    inline_below: ClassVar[float | None] = None
    delete_on_completion: ClassVar[bool] = False
    limit: ClassVar[Limit | None] = None
    batch: ClassVar[int] = 1
    shell_arguments_encrypted: ClassVar[bool] = False

    shell_arguments: Sequence[str] = ()
    """In the runner: what `get_shell_arguments` returned."""
    private_arguments: Mapping[str, Any] = {}
    """In the runner: what `get_private_arguments` returned."""

    _configured: ClassVar[ConfiguredTask]

    @abstractmethod
    def execute(self, status: LiveStatus) -> Any:
        """Do the work; return JSON that the status keeps as its result, or None.

        Raise `TaskError` to fail with a sentence that the person may read, `RetryLater` to be run again later.
        A task with `execute_batch` needs none.
        """

    def execute_batch(self, statuses: Sequence[LiveStatus]) -> Sequence[Any] | None:
        """Hook: do the work of some at once, at most `batch`, in the order in which they have waited.

        What is initiated, and not enqueued, comes alone, as a batch of one. What this raises ends all of them so.

        Returns:
            The result of each, in their order; an exception in place of a result: that one ended so (`RetryLater`: is
            run again later, `TaskStopped`: was cancelled). None: all are done, without results.
        """
        raise NotImplementedError

    @classmethod
    def size(cls, settings: Any) -> float:
        """Hook: tell how large a call is, for `inline_below`; `settings` as `status.settings` will be."""
        raise NotImplementedError

    @classmethod
    def get_shell_arguments(cls) -> Sequence[str]:
        """Hook: arguments for the command line of the runner; overriding it makes the task start by `spawn`.

        Also where it returns none, so that `prepare` is called. They are there before any database is.
        Everybody on the host can read them in the process list while the task runs: encrypt them, and say so
        with `shell_arguments_encrypted = True`. Called by `initiate` in the calling process.
        """
        return ()

    @classmethod
    def get_private_arguments(cls) -> Mapping[str, Any]:
        """Hook: JSON that reaches the runner over a private socket, and no process list, environment, row or log.

        Called by `initiate` in the calling process.
        """
        return {}

    def prepare(self) -> str | None:
        """Hook: runs in an exec'd runner (`spawn`) before it opens a database.

        Returns:
            A database URL for this process, or None to keep that of the settings.
        """
        return None

    @classmethod
    def using(cls, **options: Unpack[Options]) -> ConfiguredTask:
        """Return a configured copy of the task; see `Options`."""
        return cls._configured.using(**options)

    @classmethod
    def initiate(cls, settings: Any = None, *, owner: str | None = None) -> TaskStatus:
        """Start the task now; see `ConfiguredTask.initiate`."""
        return cls._configured.initiate(settings, owner=owner)

    @classmethod
    def enqueue(cls, settings: Any = None, *, owner: str | None = None) -> TaskStatus:
        """Leave the task to a queue; see `ConfiguredTask.enqueue`."""
        return cls._configured.enqueue(settings, owner=owner)

    @classmethod
    def enqueue_many(cls, many: Iterable[Any], *, owner: str | None = None) -> list[TaskStatus]:
        """Leave many to a queue in one transaction; see `ConfiguredTask.enqueue_many`."""
        return cls._configured.enqueue_many(many, owner=owner)

    @classmethod
    def every(cls, interval: Interval, **options: Unpack[Recurrence]) -> Declaration:
        """Have the task run again and again; see `ConfiguredTask.every`."""
        return cls._configured.every(interval, **options)

    @classmethod
    def cron(cls, expression: str, *, timezone: str = "UTC", **options: Unpack[Recurrence]) -> Declaration:
        """Have the task run as a cron expression says; see `ConfiguredTask.cron`."""
        return cls._configured.cron(expression, timezone=timezone, **options)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if getattr(cls.execute, "__isabstractmethod__", False):
            if cls.execute_batch is Task.execute_batch:
                return
            cls.execute = _execute_alone  # type: ignore[method-assign]
        shell, private = overridden(cls, Task, "get_shell_arguments"), overridden(cls, Task, "get_private_arguments")
        if shell and not cls.shell_arguments_encrypted:
            _warn_of_shell_arguments(cls)
        cls.name = cls.__dict__.get("name") or registry.task_name(cls.__module__, cls.__qualname__)
        cls._configured = ConfiguredTask(
            definition=_define(cls, exec_needed=shell),
            check_settings=settings_check(cls),
            shell_arguments=cls.get_shell_arguments if shell else None,
            private_arguments=cls.get_private_arguments if private else None,
        )
        _check_use(cls, has_arguments=shell or private)
        registry.register(cls._configured.definition.name, cls._configured.definition)
        remember(cls._configured)


class FunctionTask(Generic[P, R]):
    """A function made a task by `@task`; still callable as the function it is."""

    def __init__(self, function: Callable[P, R], configured: ConfiguredTask) -> None:
        self.function = function
        self.name = configured.name
        self.using = configured.using
        self.initiate = configured.initiate
        self.enqueue = configured.enqueue
        self.enqueue_many = configured.enqueue_many
        self.every = configured.every
        self.cron = configured.cron
        self.__doc__ = function.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, here."""
        return self.function(*args, **kwargs)


@overload
def task(function: Callable[P, R], /) -> FunctionTask[P, R]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> Callable[[Callable[P, R]], FunctionTask[P, R]]: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Make a function of one argument, the `LiveStatus`, a task: `@task` or `@task(timeout=600)`."""

    def decorate(function: Callable[..., Any]) -> FunctionTask[..., Any]:
        check_function(function, function.__qualname__)
        body = {
            "execute": lambda self, status: function(status),
            "title": words(function.__name__),
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            **{name: staticmethod(value) if name == "size" else value for name, value in options.items()},
        }
        made = cast(type[Task], type(function.__name__, (Task,), body))
        return FunctionTask(function, made._configured)

    return decorate if function is None else decorate(function)


def _define(cls: type[Task], *, exec_needed: bool) -> TaskDefinition:
    def execute(live: LiveStatus, shell: Sequence[str], private: Mapping[str, Any]) -> Any:
        return _instance(cls, shell, private).execute(live)

    def execute_batch(live: Sequence[LiveStatus]) -> Any:
        return _instance(cls, (), {}).execute_batch(live)

    start_method = StartMethod(cls.start_method) if cls.start_method else None
    has_batch = overridden(cls, Task, "execute_batch")
    check_methods(cls, has_batch=has_batch)
    return TaskDefinition(
        name=cls.name,
        module=registry.stable_module_name(cls.__module__),
        title=cls.title or words(cls.__name__),
        execute=execute,
        parse_settings=settings_parser(cls),
        prepare=lambda shell: _instance(cls, shell, {}).prepare(),
        timeout=declared_timeout(cls),
        retry=cls.retry,
        resumable=cls.resumable,
        start_method=StartMethod.SPAWN if exec_needed else start_method,
        phases=declared_phases(cls),
        rules=declared_rules(cls),
        size=cls.size if overridden(cls, Task, "size") else None,
        batch=declared_batch(cls, has_batch=has_batch),
        execute_batch=execute_batch if has_batch else None,
        is_stored=not (exec_needed or overridden(cls, Task, "get_private_arguments")),
    )


def _instance(cls: type[Task], shell: Sequence[str], private: Mapping[str, Any]) -> Task:
    instance = cls()
    instance.shell_arguments = tuple(shell)
    instance.private_arguments = dict(private)
    return instance


def _warn_of_shell_arguments(cls: type[Task]) -> None:
    warnings.warn(
        f"{cls.__qualname__}.get_shell_arguments(): every user of the host can read these arguments in the process "
        "list (ps, /proc) while the task runs. Encrypt them and set shell_arguments_encrypted = True, "
        "or use get_private_arguments().",
        ShellArgumentsWarning,
        stacklevel=4,
    )


def _execute_alone(self: Task, status: LiveStatus) -> Any:
    """Execute a batch of one."""
    (result,) = results_of(self.execute_batch((status,)), 1)
    if isinstance(result, BaseException):
        raise result
    return result


def _check_use(cls: type[Task], *, has_arguments: bool) -> None:
    """Refuse at its definition a task that could not do what it declares."""
    definition = cls._configured.definition
    if definition.rules.inline_below is not None and definition.size is None:
        raise TypeError(f"{cls.__qualname__} has inline_below, but no size(settings) to compare with it")
    if has_arguments and (definition.rules.inline_below is not None or definition.execute_batch is not None):
        raise TypeError(f"{cls.__qualname__} has shell or private arguments, which are for a process of its own alone")
