"""The verbs, once: what a task, a page, the command line and a test do with a status."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from uuid import UUID

from forktask import application as applications
from forktask import clock, config, forks, host, place, schedule
from forktask import current as current_task
from forktask.call import Call, Noticed
from forktask.config import Settings
from forktask.errors import LaunchError, StateError, StatusNotFoundError
from forktask.forecast import Forecast
from forktask.proof import Witness, refuse_in_batch
from forktask.rows import StatusRow
from forktask.start.destination import Destination, destination_of
from forktask.start.doorbell import Doorbell
from forktask.start.telling import Teller
from forktask.start.waiting import wait_for
from forktask.starter import Starter
from forktask.states import FINAL, LIVE, StartMethod, State
from forktask.store import SeenBy, Store

WAKE_INTERVAL = 1.0
"""A row that waited this long is rung for again by whoever looks, at most this often a process."""


class Runtime:
    """forktask for one application: its settings, store and way to the supervisor.

    Args:
        application: The object that the runner has to import again; None for a plain script.
        context: Called around every task, for example `app.app_context`.
        root: Folder of the application's code; its `.py` files give the version.
        notice: Asked at each call where it comes from: whose the status is, and whether it is an order given before.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        application: object | None = None,
        context: place.Context = nullcontext,
        root: str | None = None,
        notice: Noticed = lambda task, owner: None,
    ) -> None:
        if not settings.database_url:
            default = config.normalise_url(f"sqlite:///{Path('instance/forktask.sqlite').absolute()}")
            settings = replace(settings, database_url=default)
        self.settings = settings
        self.application = application
        self.context = context
        self._notice = notice
        self._factory = applications.factory_hint(application) if application is not None else None
        # Now, not at the first call: what counts is the code that this process imports.
        self._version = settings.version or place.version() or applications.code_stamp(root or applications.main_root())
        self._woken_at = 0.0
        self.doorbell = Doorbell(self._destination)
        if application is not None:
            place.provide_context(application, context)
            _connect(self)
        _runtimes.add(self)

    @cached_property
    def store(self) -> Store:
        """The tables; opened at the first use."""
        return Store(place.database_url() or self.settings.database_url)

    @cached_property
    def forecast(self) -> Forecast:
        """Says how long statuses will still run, and when they start."""
        return Forecast(self.store, lambda queue: self._starter.workers.runners(queue) or self.settings.max_running)

    @cached_property
    def _witness(self) -> Witness:
        bell = None if self.settings.start_method is StartMethod.INLINE else self.doorbell
        return Witness(self.store, self.settings, Teller(self.context, bell))

    @cached_property
    def _starter(self) -> Starter:
        return Starter(self.settings, self._witness, self.doorbell, self.context)

    def _destination(self) -> Destination:
        settings = replace(self.settings, database_url=self.store.url)  # a runner's `prepare` may have said another
        return destination_of(settings, self.application, factory=self._factory, version=self._version)

    @staticmethod
    def use(resolver: Callable[[], Runtime | None]) -> None:
        """Ask `resolver` first which runtime a call is for; it answers None when it does not know."""
        if resolver not in _resolvers:
            _resolvers.append(resolver)

    def initiate(self, call: Call) -> StatusRow:
        """Commit the row, then start it; return the row as it is then."""
        return self._as_it_is(self._starter.initiate(self._placed(call)))

    def enqueue(self, call: Call, many: Sequence[Any] | None = None) -> list[StatusRow]:
        """Commit the row, or one for each of many settings, all or none; leave it to whoever serves its queue."""
        if many is not None:
            return self._starter.enqueue_many(self._placed(call), many)
        return [self._as_it_is(self._starter.enqueue(self._placed(call)))]

    def _as_it_is(self, found: UUID | StatusRow) -> StatusRow:
        return self.get(found) if isinstance(found, UUID) else found

    def _placed(self, call: Call) -> Call:
        """Return the call with its origin: a request, or the task that makes it."""
        return replace(call.noticed(self._notice), parent_id=current_task.live_id())

    def get(self, status_id: UUID) -> StatusRow:
        """Return the row, made true first: lost if its supervisor is gone, rung for if nobody took it.

        Raises:
            StatusNotFoundError: There is none with this id.
        """
        if (row := self.store.get(status_id)) is None:
            raise StatusNotFoundError(status_id)
        return self._made_true(row)

    def find(
        self,
        *,
        state: Collection[State] = (),
        task: str | None = None,
        owner: str | None = None,
        seen_by: SeenBy | None = None,
        ids: Sequence[UUID] = (),
        limit: int = 100,
    ) -> list[StatusRow]:
        """Return rows, newest first, each made true.

        Args:
            seen_by: Owner and visitor: of what has not ended those of either, and public ones; with no other condition.
            ids: Only these, for a poll, to which a proof of life of a moment ago is enough; empty: any.
        """
        if seen_by is not None:
            rows, state = self.store.find_live(seen_by, limit), LIVE
        else:
            rows = self.store.find(state=state, task=task, owner=owner, ids=ids, limit=limit)
        checked = [self._made_true(row, lately=bool(ids)) for row in rows]
        return [row for row in checked if not state or row.state in state]

    def _made_true(self, row: StatusRow, *, lately: bool = False) -> StatusRow:
        if row.state in FINAL:
            return row
        changed = self._witness.check(row, lately=lately) or (row.state is State.QUEUED and self._see_waiting(row))
        return (self.store.get(row.id) or row) if changed else row

    def _see_waiting(self, row: StatusRow) -> bool:
        """Whoever looks at a row that waits sees to it that there is somebody to start it."""
        if self._witness.check_waiting(row):
            return True
        age = (clock.now() - (row.run_after or row.created_at)).total_seconds()
        if not row.bound and age > WAKE_INTERVAL and clock.monotonic() - self._woken_at > WAKE_INTERVAL:
            self._woken_at = clock.monotonic()
            self._starter.start_waiting(row)
        return False

    def wake(self) -> None:
        """Start the supervisor if there is work, and mark what is lost; for the first request of a web process."""
        self._witness.check_all()
        if self.settings.start_method is StartMethod.INLINE:
            return
        if schedule.declared() or self.store.has_schedules() or self.store.has_waiting():
            self.doorbell.ring(["hello"])

    @property
    def is_full(self) -> bool:
        """True if as many tasks run on this host as may."""
        return self.store.count_running(host.boot_id()) >= self.settings.max_running

    def wait(self, status_id: UUID, timeout: float | None) -> StatusRow:
        """Return the row when it is final, or after `timeout` seconds as it is then."""
        return wait_for(partial(self.get, status_id), timeout, self.doorbell)

    def cancel(self, status_id: UUID) -> StatusRow:
        """Ask for the end of a status; one that waits is cancelled at once.

        Raises:
            StateError: It has ended otherwise; so for `pause` and `resume`, too.
        """
        store = self.store
        ways = (partial(store.cancel_waiting, status_id), partial(store.request_cancel, status_id))
        return self._ask("cancel", status_id, *ways, LIVE | {State.CANCELLED})

    def pause(self, status_id: UUID) -> StatusRow:
        """Ask to stop a running task where it is; one that waits is paused at once."""

        def of_running() -> bool:
            refuse_in_batch("pause", status_id, self.store)
            return self.store.request_pause(status_id, True)

        return self._ask("pause", status_id, partial(self.store.pause_waiting, status_id), of_running, LIVE)

    def resume(self, status_id: UUID) -> StatusRow:
        """Let a paused status go on."""

        def of_waiting() -> bool:
            if resumed := self.store.resume_waiting(status_id):
                self._starter.start_waiting(self.get(status_id))
            return resumed

        return self._ask("resume", status_id, of_waiting, partial(self.store.request_pause, status_id, False), LIVE)

    def retry(self, status_id: UUID) -> StatusRow:
        """Begin another attempt of a status that ended badly.

        Raises:
            StateError: It completed, or has not ended.
            LaunchError: Its arguments were never stored.
        """
        row = self.get(status_id)
        if row.bound:
            raise LaunchError("this status was started with arguments or code that are not stored: initiate it again")
        if not self.store.retry(status_id, row.attempt):
            raise StateError("retry", row.state, (State.FAILED, State.CANCELLED, State.LOST))
        self._starter.start_waiting(row)
        return self.get(status_id)

    def _ask(
        self,
        verb: str,
        status_id: UUID,
        of_waiting: Callable[[], bool],
        of_running: Callable[[], bool],
        allowed: Collection[State],
    ) -> StatusRow:
        """Ask both ways until one fits: between the two an attempt may begin, or end and be queued again.

        What was asked for in time is no error, whatever has become of the row since.
        """
        for _ in range(3):  # a row does not slip through between two statements again and again
            if of_waiting():
                return self.get(status_id)
            if of_running():
                if (row := self.store.get(status_id)) is not None:
                    self._starter.look(row)
                return self.get(status_id)
        row = self.get(status_id)
        if row.state not in allowed:
            raise StateError(verb, row.state, [state for state in State if state in allowed])
        return row

    def close(self) -> None:
        """Close connections; for tests and before a fork of the web server."""
        self.doorbell.close()
        self._close_store()

    def _close_store(self) -> None:
        if "store" in self.__dict__:
            self.store.close()


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
_resolvers: list[Callable[[], Runtime | None]] = []
_connected: Runtime | None = None
_default: Runtime | None = None


def _connect(runtime: Runtime) -> None:
    global _connected
    _connected = runtime


def current() -> Runtime:
    """Return the runtime for this call: a resolver's, else that of the application that was connected last.

    Outside an application context (a thread, a script) rows then stand where its pages look. A program without an
    application has one from the environment alone.
    """
    global _default
    for resolver in _resolvers:
        if (runtime := resolver()) is not None:
            return runtime
    if _connected is not None:
        return _connected
    if _default is None:
        _default = Runtime(config.load({}, os.environ))
    return _default


def _before_fork() -> None:
    for runtime in list(_runtimes):
        runtime._close_store()


def _after_fork() -> None:
    for runtime in list(_runtimes):
        runtime.doorbell.forget_after_fork()


forks.at_fork(before=_before_fork, after_in_child=_after_fork)
