"""What a worker is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from forktask.supervisor.resting import DEFAULT_SLEEP


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What a worker is told; plain values, which go through its exec.

    Attributes:
        weights: Its queues, see `Shares`.
        processes: Most runners at once for what waits in queues.
        least: So many at once from the beginning; more only while rows wait.
        tasks_per_runner: So many short tasks one runner executes, one after the other, before it leaves.
        ignored: Names of tasks that it leaves alone.
        sleep: Seconds between two looks at the table while there is nothing to do.
        once: End after one batch: what is due at the first look, at most as many as there are processes.
        drain: End when nothing is due.
        only: The one status to run, before it ends.
        most_tasks: End after so many have begun; so for the others.
        most_seconds: Of its life.
        most_memory: Bytes, of itself and its runners.
        most_failures: Attempts that ended otherwise than completed, cancelled or interrupted.
        most_idle: Seconds since the first look at which nothing ran and nothing was due.
        stop_file: End when this file is there.
        shows_output: Its log has what tasks print, too.
        arguments: For its tasks.
    """

    weights: dict[str, int]
    processes: int
    least: int
    tasks_per_runner: int = 1
    ignored: list[str] = field(default_factory=list)
    sleep: float = DEFAULT_SLEEP
    once: bool = False
    drain: bool = False
    only: str | None = None
    most_tasks: int | None = None
    most_seconds: float | None = None
    most_memory: int | None = None
    most_failures: int | None = None
    most_idle: int | None = None
    stop_file: str | None = None
    shows_output: bool = False
    arguments: list[str] = field(default_factory=list)

    @property
    def is_single(self) -> bool:
        """True if it is to do what there is now, and end."""
        return self.once or self.drain or self.only is not None

    @property
    def is_limited(self) -> bool:
        """True if it will end by itself."""
        most = (self.most_tasks, self.most_seconds, self.most_memory, self.most_failures, self.most_idle)
        return self.is_single or any(limit is not None for limit in most)
