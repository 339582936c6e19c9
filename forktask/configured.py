"""A task with what was said of it per call; both verbs start here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import Unpack

from forktask import registry, runtime
from forktask.call import Call
from forktask.definition import TaskDefinition
from forktask.errors import EnqueueError
from forktask.jsonvalues import plain
from forktask.options import PRIVATE_LIMIT, Options, checked_options, shell_texts, start_time
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
        """
        if "run_after" in self.options or "queue" in self.options:
            raise EnqueueError("queue and run_after are for enqueue(); initiate() starts now")
        source = runtime.current()
        return TaskStatus(source.initiate(self._call(settings, owner)), source)

    def enqueue(self, settings: Any = None, *, owner: str | None = None) -> TaskStatus:
        """Leave the task to a queue; the arguments are those of `initiate`.

        Raises:
            EnqueueError: The task has shell or private arguments.
        """
        for given, name in ((self.shell_arguments, "shell"), (self.private_arguments, "private")):
            if given is not None:
                raise EnqueueError(
                    f"{self.definition.name} has {name} arguments, which are stored nowhere: "
                    "a queue could not give them back; use initiate()"
                )
        source = runtime.current()
        return TaskStatus(source.enqueue(self._call(settings, owner)), source)

    def _call(self, settings: Any, owner: str | None) -> Call:
        checked = self.check_settings(settings)
        registry.register(self.definition.name, self.definition)  # a closure's name may have been taken over
        private = self.private_arguments() if self.private_arguments else {}
        method = self.options.get("start_method")
        return Call(
            definition=self.definition,
            settings=checked,
            owner=owner,
            title=self.options.get("title"),
            start_method=StartMethod(method) if method else None,
            queue=self.options.get("queue"),
            priority=self.options.get("priority", 50),
            run_after=start_time(self.options.get("run_after")),
            metadata=self.options.get("metadata"),
            shell=shell_texts(self.shell_arguments() if self.shell_arguments else ()),
            private=plain(dict(private), "private_arguments", limit=PRIVATE_LIMIT),
            on_progress=self.options.get("on_progress"),
        )
