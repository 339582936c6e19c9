"""A task with what was said of it per call; both verbs start here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import Unpack

from forktask import registry, runtime
from forktask.call import Call
from forktask.definition import TaskDefinition
from forktask.errors import EnqueueError, SettingsError
from forktask.jsonvalues import plain
from forktask.moments import moment
from forktask.options import PRIVATE_LIMIT, Options, checked_options, rules_with, shell_texts
from forktask.rules import Rules
from forktask.schedule import Declaration, Interval, Recurrence, declaration_of, declare, run_options
from forktask.states import StartMethod
from forktask.status import TaskStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredTask:
    """A task with options; `using` returns a changed copy."""

    definition: TaskDefinition
    check_settings: Callable[[Any], Any]
    shell_arguments: Callable[[], Sequence[str]] | None = None
    private_arguments: Callable[[], Mapping[str, Any]] | None = None
    options: Options = field(default_factory=Options)

    @property
    def name(self) -> str:
        """The registered name."""
        return self.definition.name

    def using(self, **options: Unpack[Options]) -> ConfiguredTask:
        """Return a copy with these options beside those it has."""
        return ConfiguredTask(
            definition=self.definition,
            check_settings=self.check_settings,
            shell_arguments=self.shell_arguments,
            private_arguments=self.private_arguments,
            options=checked_options({**self.options, **options}),
        )

    def initiate(self, settings: Any = None, *, owner: str | None = None) -> TaskStatus:
        """Start the task now in a process of its own.

        Args:
            settings: JSON, or what the task's `Settings` model takes.
            owner: Whose it is, for example a user id.

        Raises:
            SettingsError: The settings are not JSON, too large, or not what the model takes; no row exists.
            DuplicateError: One like it has not ended, and the task says `on_conflict="refuse"`.
        """
        if self.options.get("run_after") is not None or "queue" in self.options:
            raise EnqueueError("queue and run_after are for enqueue(); initiate() starts now")
        source = runtime.current()
        return TaskStatus(source.initiate(self._call(settings, owner)), source)

    def enqueue(self, settings: Any = None, *, owner: str | None = None) -> TaskStatus:
        """Leave the task to a queue; the arguments are those of `initiate`.

        Raises:
            EnqueueError: The task has shell or private arguments.
        """
        self._refuse_unstored()
        source = runtime.current()
        (row,) = source.enqueue(self._call(settings, owner))
        return TaskStatus(row, source)

    def enqueue_many(self, many: Iterable[Any], *, owner: str | None = None) -> list[TaskStatus]:
        """Leave many to a queue in one transaction, all or none; ten thousand take less than a second.

        None of them runs inline, however small.

        Args:
            many: The settings of each.

        Returns:
            The status of each, in the same order; for one that joins another, the status of that.

        Raises:
            SettingsError: Naming the first that is refused, or that equals one before where `unique` and
                `on_conflict` would let only one of the two live; no row exists.
        """
        self._refuse_unstored()
        checked = [self._checked(settings, f"many[{number}]") for number, settings in enumerate(_each(many))]
        if not checked:
            return []
        source = runtime.current()
        return [TaskStatus(row, source) for row in source.enqueue(self._order(None, owner), checked)]

    def every(self, interval: Interval, **options: Unpack[Recurrence]) -> Declaration:
        """Have the task run again and again, for as long as the application declares it.

        To be said where the application is imported, as its supervisors do.

        Args:
            interval: Seconds, a timedelta, or text like `10 minutes`; real time, whatever clocks are set to.
            options: See `Recurrence`.

        Raises:
            ScheduleError: Something of it is wrong; the text names it.
            SettingsError: As `initiate` does.
            EnqueueError: As `enqueue` does.
        """
        return self._declare({"every": interval, **options})

    def cron(self, expression: str, *, timezone: str = "UTC", **options: Unpack[Recurrence]) -> Declaration:
        """Have the task run as a cron expression says, by the clock on the wall of a time zone; as `every` else.

        Args:
            expression: Minute, hour, day of the month, month, day of the week: `*/5 9-17 * * mon-fri`; or `@daily`.
            timezone: A name like `Europe/Berlin`.
        """
        return self._declare({"cron": expression, "timezone": timezone, **options})

    def _checked(self, settings: Any, name: str) -> Any:
        try:
            return self.check_settings(settings)
        except SettingsError as error:
            raise SettingsError(name + error.path.removeprefix("settings"), error.problem) from error

    def _declare(self, rule: dict[str, Any]) -> Declaration:
        self._refuse_unstored()
        settings = self.check_settings(rule.get("settings"))
        options = run_options(dict(self.options))
        return declare(declaration_of(self.definition.name, rule, settings=settings, options=options))

    def _refuse_unstored(self) -> None:
        """A queue could not give back what stands in no row."""
        for given, name in ((self.shell_arguments, "shell"), (self.private_arguments, "private")):
            if given is not None:
                raise EnqueueError(
                    f"{self.definition.name} has {name} arguments, which are stored nowhere: "
                    "a queue could not give them back; use initiate()"
                )

    def _call(self, settings: Any, owner: str | None) -> Call:
        checked = self.check_settings(settings)
        call = self._order(checked, owner)
        return replace(
            call,
            inline=self._is_small(checked, call.rules),
            shell=shell_texts(self.shell_arguments()) if self.shell_arguments else (),
            private=self._private() if self.private_arguments else {},
        )

    def _order(self, checked: Any, owner: str | None) -> Call:
        registry.register(self.definition.name, self.definition)  # a closure's name may have been taken over
        method, begin = self.options.get("start_method"), self.options.get("run_after")
        return Call(
            definition=self.definition,
            settings=checked,
            owner=owner,
            title=self.options.get("title"),
            start_method=StartMethod(method) if method else None,
            queue=self.options.get("queue"),
            priority=self.options.get("priority", 50),
            run_after=None if begin is None else moment(begin),
            metadata=self.options.get("metadata"),
            on_progress=self.options.get("on_progress"),
            public=self.options.get("public", False),
            rules=rules_with(self.definition.rules, self.options),
        )

    def _is_small(self, checked: Any, rules: Rules) -> bool:
        """Apply `inline_below`; a start method that the call names is kept, and so is a time."""
        if rules.inline_below is None or "start_method" in self.options or self.options.get("run_after") is not None:
            return False
        if self.definition.size is None:
            raise EnqueueError(f"{self.definition.name} has inline_below, but no size() to compare with it")
        return self.definition.size(self.definition.parse_settings(checked)) < rules.inline_below

    def _private(self) -> Any:
        assert self.private_arguments is not None
        return plain(dict(self.private_arguments()), "private_arguments", limit=PRIVATE_LIMIT)


_named: dict[str, ConfiguredTask] = {}


def remember(task: ConfiguredTask) -> None:
    """Make a task known with its hooks, for those who have nothing but its name."""
    _named[task.name] = task


def named(name: str) -> ConfiguredTask:
    """Return the task of this name, as if its class were there.

    Raises:
        UnknownTaskError: With near names.
    """
    registry.get(name)
    return _named[name]


def _each(many: Any) -> Iterable[Any]:
    """Return what is to be taken one by one, unless it is one thing with parts."""
    if isinstance(many, (str, bytes, bytearray, Mapping)) or not isinstance(many, Iterable):
        problem = f"is a {type(many).__name__}; it is a list, or anything else that yields the settings of each"
        raise SettingsError("many", problem)
    return many
