"""What a supervisor is ordered to start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from forktask.states import StartMethod


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be started: the row, and what only its starter knows.

    Attributes:
        key: The id as it was found in the table.
        module: Where the caller has the task; empty if the order comes from the table.
        shell: Shell arguments; the reason for start method `spawn`.
        private: Private arguments; never leave the memory of the processes they are handed to.
        found: It was found in the table, where it was its turn.
        of_queue: It was left to a queue, and not initiated.
        limit_name: The limit under which it counts.
        limited_queue: Its queue, if that has a limit.
        unique_until_start: Its claim lets others of its kind in.
        given_up: The key that keeps them out, which its claim gives up.
        companions: Orders of rows that are to be executed together with this one, as many as may be.
        not_before: Monotonic time of the next attempt, for orders kept here during a backoff.
    """

    id: str
    task: str
    key: UUID | None = None
    module: str = ""
    start_method: StartMethod | None = None
    shell: tuple[str, ...] = ()
    private: dict[str, Any] = field(default_factory=dict)
    bound: bool = False
    found: bool = False
    of_queue: bool = False
    limit_name: str | None = None
    limited_queue: str | None = None
    unique_until_start: bool = False
    given_up: str | None = None
    companions: tuple[Order, ...] = ()
    not_before: float = 0.0

    @property
    def status_id(self) -> UUID:
        """The id of the row."""
        return self.key or UUID(self.id)

    @property
    def limits(self) -> list[tuple[str, str]]:
        """Under which limits it counts: what kind, and its name."""
        named = (("limit", self.limit_name), ("queue", self.limited_queue))
        return [(kind, name) for kind, name in named if name is not None]

    @property
    def must_begin(self) -> bool:
        """True if it has to be begun when it is claimed, so that it is never given back."""
        return bool(self.limits) or self.unique_until_start

    @classmethod
    def of_message(cls, message: list[Any]) -> Order:
        """Return what a web process orders: `["start", id, task, arguments]`."""
        arguments = message[3] if len(message) > 3 else {}
        method = arguments.get("start_method")
        return cls(
            id=message[1],
            task=message[2],
            module=arguments.get("module", ""),
            start_method=StartMethod(method) if method else None,
            shell=tuple(arguments.get("shell", ())),
            private=arguments.get("private", {}),
            bound=bool(arguments.get("bound")),
        )
