"""From a call to a row, and from a row to whoever starts it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any
from uuid import UUID

from forktask import host, place, process, registry
from forktask.call import Call, limit_name, row_of, unique_key
from forktask.config import Settings
from forktask.errors import ApplicationNotFoundError, LaunchError, SettingsError
from forktask.line import line_of
from forktask.proof import Witness, fail_launch
from forktask.rows import StatusRow, completed, new_id
from forktask.sentences import NO_WORKER, new_reference
from forktask.start import forking
from forktask.start.bell import Workers
from forktask.start.doorbell import Doorbell
from forktask.start.inline import Inline
from forktask.start.waiting import UNHEARD
from forktask.states import Cause, StartMethod, State
from forktask.store import Placed
from forktask.supervisor.order import Order

log = logging.getLogger("forktask.runtime")

DEFAULT_QUEUE = "default"


class Starter:
    """Commits rows and has them started, each by its start method."""

    def __init__(self, settings: Settings, witness: Witness, doorbell: Doorbell, context: place.Context) -> None:
        self.settings = settings
        self.witness = witness
        self.store = witness.store
        self.doorbell = doorbell
        self.context = context

    @cached_property
    def workers(self) -> Workers:
        """Who serves the queues."""
        return Workers(self.witness, self.settings.runtime_dir)

    @cached_property
    def _inline(self) -> Inline:
        return Inline(self.store, self.context)

    def initiate(self, call: Call) -> UUID | StatusRow:
        """Commit the row, then start it; return the row, or its id where it has changed since or was there before."""
        place.refuse_while_preloading()
        method = self._method(call)
        if method is not StartMethod.INLINE and not process.LINUX:
            raise LaunchError(f"start method {method} needs Linux; elsewhere there is inline, for tests")
        if call.inline and method is not StartMethod.INLINE:
            return self._initiate_small(call)
        if method is not StartMethod.INLINE and (method is StartMethod.FORK or call.shell or call.private):
            _refuse_limit(call)
        if method is not StartMethod.FORK:
            return self._initiate(call, method)
        with call.alone():
            forking.refuse_threads()
            return self._initiate(call, method)

    def _initiate(self, call: Call, method: StartMethod) -> UUID | StatusRow:
        bound = method in (StartMethod.FORK, StartMethod.INLINE) or bool(call.shell or call.private)
        supervised = method in (StartMethod.FORKSERVER, StartMethod.SPAWN)
        destination = self.doorbell.destination if supervised else None
        row = row_of(call, bound_to=method if bound else None, destination=destination)
        kept = self._insert(row, call)
        if kept.id != row.id:
            return kept.id
        if method is StartMethod.INLINE:
            self._inline.start(row.id, {"private": call.private, "shell": call.shell}, call.on_progress)
            return self._after_inline(row)
        try:
            self._start(row, call, method, bound)
        except LaunchError as error:
            self._launch_failed(row, error)
            return row.id
        return row

    def enqueue(self, call: Call) -> UUID | StatusRow:
        """Commit the row and leave it to whoever serves its queue, or run it now if it is small; as `initiate`."""
        place.refuse_while_preloading()
        call = replace(call, queue=call.queue or DEFAULT_QUEUE)
        if call.inline:
            return self._initiate_small(call)
        row = self._served(row_of(call), call)
        kept = self._insert(row, call)
        if kept.id != row.id:
            return kept.id
        if row.state is not State.FAILED:
            self.start_waiting(row)
        return row

    def enqueue_many(self, call: Call, many: Sequence[Any]) -> list[StatusRow]:
        """Commit a row for each of the settings, all or none, and say so once."""
        place.refuse_while_preloading()
        call = replace(call, queue=call.queue or DEFAULT_QUEUE)
        rows = self._rows(call, many)
        self._write_limits(rows, call)
        placed = self.store.insert_all(rows, delay=call.delay, on_conflict=call.rules.on_conflict)
        self._see_placed(rows[0], placed[0], call)
        for one in placed:
            self._look_at_replaced(one)
        if rows[0].state is not State.FAILED:
            self.start_waiting(rows[0])
        return [one.row for one in placed]

    def _rows(self, call: Call, many: Sequence[Any]) -> list[StatusRow]:
        first = replace(call, settings=many[0])
        like = self._served(row_of(first), call)
        rows = [like]
        for number, settings in enumerate(many[1:], 1):
            once_key = hashlib.sha256(f"{like.once_key}/{number}".encode()).hexdigest() if like.once_key else None
            key = unique_key(call, settings) if like.unique_key else None
            row = like._replace(id=new_id(), settings=settings, unique_key=key, once_key=once_key)
            rows.append(_with_limit(row, call, settings) if like.limit_name else row)
        if call.rules.on_conflict != "join":
            _refuse_equal(rows)
        return rows

    def _initiate_small(self, call: Call) -> UUID | StatusRow:
        """Run it here and now; if another attempt is to follow, that one is left to a supervisor."""
        row = self._inline.claimed(row_of(replace(call, rules=replace(call.rules, limit=None))))
        kept = self._insert(row, call)
        if kept.id != row.id:
            return kept.id
        if self._inline.run_claimed(row):
            self.ring(row.id, ["due", call.definition.module])
        return self._after_inline(row)

    def _after_inline(self, row: StatusRow) -> UUID | StatusRow:
        """Return the id of a row that may have changed; of one that completed and was deleted what it was."""
        if row.delete_on_completion and self.store.get(row.id) is None:
            return completed(row)
        return row.id

    def _served(self, row: StatusRow, call: Call) -> StatusRow:
        """Return the row as failed if it needs a worker and there is none."""
        queue = row.queue or DEFAULT_QUEUE
        if not call.rules.require_worker or self.workers.serve(queue, row.task):
            return row
        log.warning("no worker serves queue=%s task=%s id=%s", queue, row.task, row.id)
        error = NO_WORKER.format(queue=queue)
        end: dict[str, Any] = {
            "cause": Cause.LAUNCH,
            "error": error,
            "reference": new_reference(),
            "finished_at": row.created_at,
        }
        return row._replace(state=State.FAILED, **end)

    def _write_limits(self, rows: Sequence[StatusRow], call: Call) -> None:
        if call.rules.limit is not None:
            self.store.write_limits({row.limit_name for row in rows if row.limit_name}, call.rules.limit)

    def _insert(self, row: StatusRow, call: Call) -> StatusRow:
        self._write_limits([row], call)
        placed = self.store.insert_or_find(row, delay=call.delay, on_conflict=call.rules.on_conflict)
        self._see_placed(row, placed, call)
        self._look_at_replaced(placed)
        return placed.row

    def _see_placed(self, row: StatusRow, placed: Placed, call: Call) -> None:
        """Refuse a row that was ordered before with the same key, but otherwise."""
        is_repeated = placed.row.id != row.id and row.once_key is not None and placed.row.once_key == row.once_key
        if is_repeated and call.join is not None:
            call.join(placed.row.once_content)

    def _look_at_replaced(self, placed: Placed) -> None:
        for status_id in placed.replaced:
            if (replaced := self.store.get(status_id)) is not None:
                self.look(replaced)

    def _method(self, call: Call) -> StartMethod:
        """What the call says; then `inline`, with which a test runs all tasks; then what the task needs or says."""
        own = call.start_method or self.settings.start_method
        if own is StartMethod.INLINE:
            return own
        if call.shell:
            return StartMethod.SPAWN
        return call.start_method or call.definition.start_method or own

    def _start(self, row: StatusRow, call: Call, method: StartMethod, bound: bool) -> None:
        if method is StartMethod.FORK:
            self._refuse_above_limit()
            order = Order(id=str(row.id), task=row.task, private=dict(call.private), bound=True)
            forking.start(self.settings, order, self.context)
            return
        if _has_rules(row):
            self.ring(row.id, ["due", call.definition.module])
            return
        arguments: dict[str, Any] = {"start_method": method.value, "module": call.definition.module}
        if bound:
            arguments |= {"bound": True, "shell": call.shell, "private": call.private}
        arrived = self.doorbell.ring(["start", str(row.id), row.task, arguments], must_arrive=bound)
        if bound and not arrived:
            raise LaunchError("the supervisor's socket is full; the arguments could not be handed over")

    def _refuse_above_limit(self) -> None:
        """Refuse a row, which counts already, if there are more on this host than may run, the dead left out."""
        limit = self.settings.max_running
        if self.store.count_running(host.boot_id()) <= limit:
            return
        self.witness.check_all()
        if self.store.count_running(host.boot_id()) > limit:
            raise LaunchError(f"FORKTASK_MAX_RUNNING={limit} tasks run on this host")

    def _launch_failed(self, row: StatusRow, error: LaunchError) -> None:
        log.error("cannot start task=%s id=%s: %s", row.task, row.id, error)
        fail_launch(self.store, self.witness.tell, row.task, row.id, row.attempt, str(error))

    def start_waiting(self, row: StatusRow) -> None:
        """Have a row started that waits; a bound one by the supervisor that keeps its arguments.

        One of another application is left to that: the supervisor that we tell has other code.
        """
        if self.settings.start_method is StartMethod.INLINE or not self._is_ours(row):
            return
        if row.bound:
            self.look(row)
            return
        if row.queue is not None:
            self._wake(row, row.queue)
            return
        definition = registry.find(row.task)
        if _has_rules(row):
            self.ring(row.id, ["due", definition.module if definition else ""])
            return
        arguments: dict[str, Any] = {"module": definition.module} if definition else {}
        if row.start_method is not None:
            arguments["start_method"] = row.start_method.value
        self.ring(row.id, ["start", str(row.id), row.task, arguments])

    def _wake(self, row: StatusRow, queue: str) -> None:
        """Have those look who serve the queue; where no worker does, our own supervisor."""
        if self.workers.wake(queue, row.task):
            return
        definition = registry.find(row.task)
        self.ring(row.id, ["due", definition.module if definition else ""])

    def look(self, row: StatusRow) -> None:
        """Save the supervisor the second until it would see by itself what was asked for; some have no bell."""
        if row.start_method not in UNHEARD and self._is_ours(row):
            self.ring(row.id, ["look", str(row.id)])

    def ring(self, status_id: UUID, message: Sequence[Any]) -> None:
        """Tell the supervisor; if that fails it will find the row."""
        if self.settings.start_method is StartMethod.INLINE:
            return
        try:
            self.doorbell.ring(message)
        except (LaunchError, ApplicationNotFoundError) as error:
            log.warning("id=%s: %s", status_id, error)

    def _is_ours(self, row: StatusRow) -> bool:
        try:
            return row.application in (None, self.doorbell.destination.application)
        except ApplicationNotFoundError:
            return False


def _has_rules(row: StatusRow) -> bool:
    """Return True if who begins a row has to know of its rules, which are found with it in the table."""
    return row.limit_name is not None or (bool(row.unique_until_start) and not row.bound)


def _refuse_limit(call: Call) -> None:
    """What has to be started at once cannot wait for a place."""
    if call.rules.limit is not None:
        raise LaunchError(
            f"{call.definition.name} has a limit, so it may have to wait in the table, where neither a process of "
            "start method fork nor shell or private arguments can wait"
        )


def _with_limit(row: StatusRow, call: Call, settings: Any) -> StatusRow:
    name = limit_name(call, settings)
    return row._replace(limit_name=name, line=line_of(row.queue, name))


def _refuse_equal(rows: Sequence[StatusRow]) -> None:
    """Refuse two rows of one call of which one would keep out or replace the other."""
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        if row.unique_key is not None and (equal := first.setdefault(row.unique_key, number)) != number:
            problem = f"is the same as many[{equal}], as the task is unique: only one of them could be run"
            raise SettingsError(f"many[{number}]", problem)
