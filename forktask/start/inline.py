"""Start method `inline`: the same states and rows in the calling process; for tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from forktask import clock, hooks, place, process, registry, runner
from forktask.definition import TaskDefinition
from forktask.errors import UnknownTaskError
from forktask.estimate import Pace, share_of
from forktask.progress import Page, Report
from forktask.rows import Claim, End, RunRow, Sample, StatusRow, SupervisorRow
from forktask.sentences import new_reference, sentence
from forktask.states import Cause, State
from forktask.store import Store
from forktask.supervisor.boot import row_of_this_process

OnProgress = Callable[[Report], None]


class Inline:
    """Runs tasks here and now; this process is their supervisor."""

    def __init__(self, store: Store, context: place.Context) -> None:
        self.store = store
        self.context = context
        self._me: SupervisorRow | None = None

    def start(self, status_id: UUID, order: dict[str, Any], on_progress: OnProgress | None) -> None:
        """Run the attempts of one row until it is final; backoffs are not waited for."""
        while self._attempt(status_id, order, on_progress):
            continue

    def claimed(self, row: StatusRow) -> StatusRow:
        """Return a new row as one that is under way here, so that no supervisor takes it before `run_claimed` does."""
        runner, now = process.identify(), clock.now()
        return row._replace(
            state=State.RUNNING,
            supervisor_id=self._registered().id,
            runner_boot_id=runner.boot_id,
            runner_pid_namespace=runner.pid_namespace,
            runner_pid=runner.pid,
            runner_start_ticks=runner.start_ticks,
            started_at=now,
        )

    def run_claimed(self, row: StatusRow) -> bool:
        """Run one attempt; return True if another is to follow, which anybody may start."""
        return self._run(row, {}, None, is_waited_for=True)

    def _registered(self) -> SupervisorRow:
        if self._me is None or self._me.pid != os.getpid():
            self._me = row_of_this_process("inline")
            self.store.register(self._me)
        return self._me

    def _attempt(self, status_id: UUID, order: dict[str, Any], on_progress: OnProgress | None) -> bool:
        claim = Claim(status_id=status_id, supervisor_id=self._registered().id, runner=process.identify())
        rows = self.store.claim([claim])
        return bool(rows) and self._run(rows[0], order, on_progress)

    def _run(
        self, row: RunRow, order: dict[str, Any], on_progress: OnProgress | None, *, is_waited_for: bool = False
    ) -> bool:
        page = Page.anonymous()
        writer = _RowWriter(self.store, row, page, on_progress)
        try:
            word = runner.run(
                {**order, "id": str(row.id), "task": row.task, "settings": row.settings, "attempt": row.attempt,
                 "checkpoint": row.checkpoint},
                writer.hear, page, self.context, writer.report,
            )  # fmt: skip
        finally:
            page.close()
        # An attempt that follows at once and does not count could go on for ever.
        is_free = is_waited_for and word.get("counts") is False
        end = self._end(row, word, writer.last, is_free)
        self.store.save([], [end], [])
        hooks.tell_end(hooks.described(row.task, row.id, row.attempt, end.state, end.cause))
        if word.get("class") == "KeyboardInterrupt":
            raise KeyboardInterrupt  # meant for the program, of which the task is a part here
        return end.state is State.QUEUED

    def _end(self, row: RunRow, word: dict[str, Any], last: Sample | None, is_free: bool) -> End:
        cause = {"done": None, "stopped": Cause.CANCELLED, "exit": Cause.EXIT}.get(word["word"], Cause.EXCEPTION)
        if word["word"] == "error":
            cause = Cause(word["cause"])
        definition: TaskDefinition | None = registry.find(row.task)
        if definition is None:
            raise UnknownTaskError(row.task)
        wanted = word.get("retry", cause is not None and definition.retry.applies(cause))
        again = bool(wanted) and (is_free or row.attempt < row.max_attempts)
        state = State.QUEUED if again else State.CANCELLED if cause is Cause.CANCELLED else State.FAILED
        return End(
            status_id=row.id,
            attempt=row.attempt,
            state=State.COMPLETED if cause is None else state,
            cause=cause,
            result=word.get("value"),
            error=(word.get("sentence") or sentence(cause)) if cause else None,
            reference=new_reference() if cause else None,
            counts=not is_free,
            last=last,
            supervisor_id=row.supervisor_id,
            pid=os.getpid(),
            started_at=row.started_at,
            finished_at=clock.now(),
            error_class=word.get("class"),
            traceback=word.get("traceback"),
            exit_code=word.get("code"),
            run_after=self._begin_of_next(definition, row, word) if again else None,
            deletes=cause is None and bool(row.delete_on_completion),
        )

    def _begin_of_next(self, definition: TaskDefinition, row: RunRow, word: dict[str, Any]) -> datetime:
        return clock.after(word["delay"] if "delay" in word else definition.retry.delay(row.attempt))


class _RowWriter:
    """Writes each report into the row at once, so that a test sees what a person would; and reads what was asked."""

    def __init__(self, store: Store, row: RunRow, page: Page, on_progress: OnProgress | None) -> None:
        self.store = store
        self.row = row
        self.page = page
        self.on_progress = on_progress
        self.warnings: list[str] = []
        self.last: Sample | None = None
        self.begun_at = clock.monotonic()
        self.pace = Pace()

    def report(self, report: Report) -> None:
        """Write what the task reports."""
        active, share = clock.monotonic() - self.begun_at, share_of(report.percent, report.done, report.total)
        if share is not None:
            self.pace.add(active, share)
        pace = self.pace.range() or (None, None)
        self.last = Sample(
            status_id=self.row.id,
            attempt=self.row.attempt,
            percent=report.percent,
            message=report.message,
            done=report.done,
            total=report.total,
            unit=report.unit,
            active_seconds=active,
            pace_low=pace[0],
            pace_high=pace[1],
        )
        self.store.save([self.last], [], [])
        if self.on_progress is not None:
            self.on_progress(report)
        if any(request.cancel_requested_at is not None for request in self.store.requests([self.row.id])):
            self.page.request_cancel()

    def hear(self, word: str, value: Any) -> None:
        """Write a warning, the phases or a checkpoint."""
        sample = self.last or Sample(status_id=self.row.id, attempt=self.row.attempt)
        if word == "warning":
            self.warnings.append(value)
            self.last = sample._replace(warnings=list(self.warnings))
        elif word == "phases":
            self.last = sample._replace(phases=value)
        else:
            self.last = sample._replace(checkpoint=value)
        self.store.save([self.last], [], [])
