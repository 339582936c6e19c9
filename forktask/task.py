"""`Task` and `@task`: what a user writes."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar, cast, overload

from pydantic import BaseModel, ValidationError
from typing_extensions import Unpack

from forktask import registry
from forktask.configured import ConfiguredTask
from forktask.definition import TaskDefinition
from forktask.errors import SettingsError, ShellArgumentsWarning
from forktask.jsonvalues import plain
from forktask.live import LiveStatus
from forktask.options import Options, TaskOptions
from forktask.retry import NO_RETRY, Retry
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
        start_method: Instead of the one in the settings.
        shell_arguments_encrypted: Says that `get_shell_arguments` returns nothing readable.
        Settings: A pydantic model; then `status.settings` is an instance of it.

    A task has no state: an instance is made without arguments for each attempt, in the runner.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    timeout: ClassVar[float | None] = None
    retry: ClassVar[Retry] = NO_RETRY
    resumable: ClassVar[bool] = False
    start_method: ClassVar[StartMethod | str | None] = None
    shell_arguments_encrypted: ClassVar[bool] = False

    shell_arguments: Sequence[str] = ()
    """In the runner: what `get_shell_arguments` returned."""
    private_arguments: Mapping[str, Any] = {}
    """In the runner: what `get_private_arguments` returned."""

    _configured: ClassVar[ConfiguredTask]

    @abstractmethod
    def execute(self, status: LiveStatus) -> Any:
        """Do the work; return JSON that the status keeps as its result, or None.

        Raise `TaskError` to fail with a sentence that the person may read.
        """

    @classmethod
    def get_shell_arguments(cls) -> Sequence[str]:
        """Hook: arguments for the command line of the runner; overriding it makes the task start by `spawn`.

        They are there before any database is. Everybody on the host can read them in the process list
        while the task runs: encrypt them, and say so with `shell_arguments_encrypted = True`.
        Called by `initiate` in the calling process.
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if getattr(cls.execute, "__isabstractmethod__", False):
            return
        shell = _overridden(cls, "get_shell_arguments")
        if shell and not cls.shell_arguments_encrypted:
            _warn_of_shell_arguments(cls)
        cls.name = cls.__dict__.get("name") or registry.task_name(cls.__module__, cls.__qualname__)
        cls._configured = ConfiguredTask(
            definition=_define(cls),
            check_settings=_settings_check(cls),
            shell_arguments=cls.get_shell_arguments if shell else None,
            private_arguments=cls.get_private_arguments if _overridden(cls, "get_private_arguments") else None,
        )
        registry.register(cls._configured.definition.name, cls._configured.definition)


class FunctionTask(Generic[P, R]):
    """A function made a task by `@task`; still callable as the function it is."""

    def __init__(self, function: Callable[P, R], configured: ConfiguredTask) -> None:
        self.function = function
        self.name = configured.name
        self.using = configured.using
        self.initiate = configured.initiate
        self.enqueue = configured.enqueue
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
        body = {
            "execute": lambda self, status: function(status),
            "title": words(function.__name__),
            "__module__": function.__module__,
            "__qualname__": function.__qualname__,
            "__doc__": function.__doc__,
            **options,
        }
        made = cast(type[Task], type(function.__name__, (Task,), body))
        return FunctionTask(function, made._configured)

    return decorate if function is None else decorate(function)


def _define(cls: type[Task]) -> TaskDefinition:
    def execute(live: LiveStatus, shell: Sequence[str], private: Mapping[str, Any]) -> Any:
        return _instance(cls, shell, private).execute(live)

    if cls.timeout is not None and not (type(cls.timeout) in (int, float) and 0 < cls.timeout < math.inf):
        raise TypeError(f"{cls.__qualname__}.timeout is {cls.timeout!r}; it is a number of seconds above 0, or None")
    return TaskDefinition(
        name=cls.name,
        module=registry.stable_module_name(cls.__module__),
        title=cls.title or words(cls.__name__),
        execute=execute,
        parse_settings=_settings_parser(cls),
        prepare=lambda shell: _instance(cls, shell, {}).prepare(),
        timeout=cls.timeout,
        retry=cls.retry,
        resumable=cls.resumable,
        start_method=StartMethod(cls.start_method) if cls.start_method else None,
    )


def _instance(cls: type[Task], shell: Sequence[str], private: Mapping[str, Any]) -> Task:
    instance = cls()
    instance.shell_arguments = tuple(shell)
    instance.private_arguments = dict(private)
    return instance


def _model(cls: type[Task]) -> type[BaseModel] | None:
    model = getattr(cls, "Settings", None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _settings_parser(cls: type[Task]) -> Callable[[Any], Any]:
    model = _model(cls)
    return model.model_validate if model else lambda raw: raw


def _settings_check(cls: type[Task]) -> Callable[[Any], Any]:
    """Return the function that turns what a caller gives into JSON, or refuses it by name and path."""
    model = _model(cls)
    if model is None:
        return lambda given: plain({} if given is None else given, "settings")

    def check(given: Any) -> Any:
        try:
            valid = model.model_validate({} if given is None else given)
        except ValidationError as error:
            first = error.errors()[0]
            path = "settings" + "".join(f"[{part!r}]" for part in first["loc"])
            raise SettingsError(path, f"is refused: {first['msg']}") from error
        return plain(valid.model_dump(mode="json"), "settings")

    return check


def _overridden(cls: type[Task], hook: str) -> bool:
    return getattr(cls, hook).__func__ is not getattr(Task, hook).__func__


def _warn_of_shell_arguments(cls: type[Task]) -> None:
    warnings.warn(
        f"{cls.__qualname__}.get_shell_arguments(): every user of the host can read these arguments in the process "
        "list (ps, /proc) while the task runs. Encrypt them and set shell_arguments_encrypted = True, "
        "or use get_private_arguments().",
        ShellArgumentsWarning,
        stacklevel=4,
    )
