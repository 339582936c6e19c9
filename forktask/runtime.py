"""The verbs, once: what a task, a page, the command line and a test do with a status."""

from __future__ import annotations

import logging
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
from forktask import clock, config, host, place, process, registry
from forktask.call import Call, row_of
from forktask.config import Settings
from forktask.errors import ApplicationNotFoundError, LaunchError, StateError, StatusNotFoundError
from forktask.proof import Witness
from forktask.rows import StatusRow
from forktask.sentences import new_reference, sentence
from forktask.start import forking
from forktask.start.destination import Destination, destination_of
from forktask.start.doorbell import Doorbell
from forktask.start.inline import Inline
from forktask.start.waiting import wait_for
from forktask.states import FINAL, LIVE, Cause, StartMethod, State
from forktask.store import Store
from forktask.supervisor.charge import Order

log = logging.getLogger("forktask.runtime")

WAKE_INTERVAL = 1.0
"""A row that waited this long is rung for again by whoever looks, at most this often a process."""


class Runtime:
    """forktask for one application: its settings, store and way to the supervisor.

    Args:
        application: The object that the runner has to import again; None for a plain script.
        context: Called around every task, for example `app.app_context`.
        root: Folder of the application's code; its `.py` files give the version.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        application: object | None = None,
        context: place.Context = nullcontext,
        root: str | None = None,
    ) -> None:
        if not settings.database_url:
            default = config.normalise_url(f"sqlite:///{Path('instance/forktask.sqlite').absolute()}")
            settings = replace(settings, database_url=default)
        self.settings = settings
        self._application = application
        self._context = context
        self._factory = applications.factory_hint(application) if application is not None else None
        # Now, not at the first call: what counts is the code that this process imports.
        self._version = settings.version or place.version() or applications.code_stamp(root or applications.main_root())
        self._woken_at = 0.0
        self.doorbell = Doorbell(self._destination)
        if application is not None:
            place.provide_context(application, context)
        _runtimes.add(self)

    @cached_property
    def store(self) -> Store:
        """The tables; opened at the first use."""
        return Store(place.database_url() or self.settings.database_url)

    @cached_property
    def _witness(self) -> Witness:
        return Witness(self.store, self.settings.lost_after)

    @cached_property
    def _inline(self) -> Inline:
        return Inline(self.store, self._context)

    def _destination(self) -> Destination:
        return destination_of(self.settings, self._application, factory=self._factory, version=self._version)

    @staticmethod
    def use(resolver: Callable[[], Runtime | None]) -> None:
        """Ask `resolver` first which runtime a call is for; it answers None when it does not know."""
        if resolver not in _resolvers:
            _resolvers.append(resolver)

    def initiate(self, call: Call) -> StatusRow:
        """Commit the row, then start it; return the row as it is then."""
        place.refuse_while_preloading()
        method = self._method(call)
        if method is StartMethod.FORK:
            forking.refuse_threads()
        bound = method in (StartMethod.FORK, StartMethod.INLINE) or bool(call.shell or call.private)
        row = row_of(call, method if bound else None)
        if method in (StartMethod.FORKSERVER, StartMethod.SPAWN):
            self.doorbell.find()
        self.store.insert(row)
        if method is StartMethod.INLINE:
            self._inline.start(row.id, {"private": call.private, "shell": call.shell}, call.on_progress)
            return self.get(row.id)
        try:
            self._start(row, call, method, bound)
        except LaunchError as error:
            return self._launch_failed(row, error)
        return row

    def enqueue(self, call: Call) -> StatusRow:
        """Commit the row and leave it to whoever serves its queue."""
        place.refuse_while_preloading()
        row = row_of(replace(call, queue=call.queue or "default"), None)
        self.store.insert(row)
        self._ring(row.id, _start(row) if row.run_after is None else ["hello"])
        return row

    def _method(self, call: Call) -> StartMethod:
        if call.shell:
            return StartMethod.SPAWN
        return call.start_method or call.definition.start_method or self.settings.start_method

    def _start(self, row: StatusRow, call: Call, method: StartMethod, bound: bool) -> None:
        if method is StartMethod.FORK:
            if self.store.count_running(host.boot_id()) >= self.settings.max_running:
                raise LaunchError(f"FORKTASK_MAX_RUNNING={self.settings.max_running} tasks run on this host")
            order = Order(id=str(row.id), task=row.task, private=dict(call.private), bound=True)
            forking.start(self.settings, order, self._context)
            return
        arguments: dict[str, Any] = {"start_method": method.value, "module": call.definition.module}
        if bound:
            arguments |= {"bound": True, "shell": call.shell, "private": call.private}
        arrived = self.doorbell.ring(["start", str(row.id), row.task, arguments], must_arrive=bound)
        if bound and not arrived:
            raise LaunchError("the supervisor's socket is full; the arguments could not be handed over")

    def _launch_failed(self, row: StatusRow, error: LaunchError) -> StatusRow:
        log.error("cannot start task=%s id=%s: %s", row.task, row.id, error)
        self.store.fail_launch(
            row.id, row.attempt, error=sentence(Cause.LAUNCH), reference=new_reference(), detail=str(error)
        )
        return self.get(row.id)

    def get(self, status_id: UUID) -> StatusRow:
        """Return the row, made true first: lost if its supervisor is gone, rung for if nobody took it.

        Raises:
            StatusNotFoundError: There is none with this id.
        """
        row = self.store.get(status_id)
        if row is None:
            raise StatusNotFoundError(status_id)
        if row.state in FINAL:
            return row
        changed = self._witness.check(row) or (row.state is State.QUEUED and self._see_waiting(row))
        return (self.store.get(status_id) or row) if changed else row

    def find(
        self, *, state: Collection[State] = (), task: str | None = None, owner: str | None = None, limit: int = 100
    ) -> list[StatusRow]:
        """Return rows, newest first, each made true."""
        rows = self.store.find(state=state, task=task, owner=owner, limit=limit)
        checked = [self.get(row.id) if row.state in LIVE else row for row in rows]
        return [row for row in checked if not state or row.state in state]

    def _see_waiting(self, row: StatusRow) -> bool:
        """Whoever looks at a row that waits sees to it that there is somebody to start it."""
        if self._witness.check_waiting(row):
            return True
        now = clock.now()
        age = (now - (row.run_after or row.created_at)).total_seconds()
        if row.start_method is None and age > WAKE_INTERVAL and clock.monotonic() - self._woken_at > WAKE_INTERVAL:
            self._woken_at = clock.monotonic()
            self._ring(row.id, _start(row))
        return False

    def wake(self) -> None:
        """Start the supervisor if rows wait; for the first request of a web process."""
        if self.settings.start_method is not StartMethod.INLINE and self.store.has_waiting():
            self.doorbell.ring(["hello"])

    def wait(self, status_id: UUID, timeout: float | None) -> StatusRow:
        """Return the row when it is final, or after `timeout` seconds as it is then."""
        return wait_for(partial(self.get, status_id), timeout, self.doorbell)

    def cancel(self, status_id: UUID) -> StatusRow:
        """Ask for the end of a status; one that waits is cancelled at once."""
        if self._ask(partial(self.store.cancel_waiting, status_id), partial(self.store.request_cancel, status_id)):
            self._ring(status_id, ["look", str(status_id)])
        return self._expect("cancel", status_id, LIVE | {State.CANCELLED})

    def pause(self, status_id: UUID) -> StatusRow:
        """Ask to stop a running task where it is; one that waits is paused at once."""
        if self._ask(partial(self.store.pause_waiting, status_id), partial(self.store.request_pause, status_id, True)):
            self._ring(status_id, ["look", str(status_id)])
        return self._expect("pause", status_id, LIVE)

    def resume(self, status_id: UUID) -> StatusRow:
        """Let a paused status go on."""
        if self.store.resume_waiting(status_id):
            self._ring(status_id, _start(self.get(status_id)))
        elif self.store.request_pause(status_id, False):
            self._ring(status_id, ["look", str(status_id)])
        return self._expect("resume", status_id, LIVE)

    def retry(self, status_id: UUID) -> StatusRow:
        """Begin another attempt of a status that ended badly.

        Raises:
            StateError: It completed, or has not ended.
            LaunchError: Its arguments were never stored.
        """
        row = self.get(status_id)
        if row.start_method is not None:
            raise LaunchError("this status was started with arguments or code that are not stored: initiate it again")
        if not self.store.retry(status_id, row.attempt):
            raise StateError("retry", row.state, (State.FAILED, State.CANCELLED, State.LOST))
        self._ring(status_id, _start(row))
        return self.get(status_id)

    def _ask(self, of_waiting: Callable[[], bool], of_running: Callable[[], bool]) -> bool:
        """Ask both ways until one fits: between the two an attempt may begin, or end and be queued again.

        Returns:
            True if a supervisor has to do it.
        """
        for _ in range(3):  # a row does not slip through between two statements again and again
            if of_waiting():
                return False
            if of_running():
                return True
        return False

    def _expect(self, verb: str, status_id: UUID, allowed: Collection[State]) -> StatusRow:
        row = self.get(status_id)
        if row.state not in allowed:
            raise StateError(verb, row.state, [state for state in State if state in allowed])
        return row

    def _ring(self, status_id: UUID, message: Sequence[Any]) -> None:
        """Save the supervisor the second until it would see for itself."""
        if self.settings.start_method is StartMethod.INLINE:
            return
        try:
            self.doorbell.ring(message)
        except (LaunchError, ApplicationNotFoundError) as error:
            log.warning("id=%s: %s", status_id, error)

    def close(self) -> None:
        """Close connections; for tests and before a fork of the web server."""
        self.doorbell.close()
        self._close_store()

    def _close_store(self) -> None:
        if "store" in self.__dict__:
            self.store.close()

    def _abandon(self) -> None:
        self.doorbell.forget_after_fork()
        if "store" in self.__dict__:
            self.store.abandon()


def _start(row: StatusRow) -> list[Any]:
    """Return the message for a row that any supervisor may start."""
    definition = registry.find(row.task)
    return ["start", str(row.id), row.task, {"module": definition.module} if definition else {}]


_runtimes: weakref.WeakSet[Runtime] = weakref.WeakSet()
_resolvers: list[Callable[[], Runtime | None]] = []
_default: Runtime | None = None


def current() -> Runtime:
    """Return the runtime for this call: a resolver's, or one from the environment alone."""
    global _default
    for resolver in _resolvers:
        if (runtime := resolver()) is not None:
            return runtime
    if _default is None:
        _default = Runtime(config.load({}, os.environ))
    return _default


def _before_fork() -> None:
    for runtime in list(_runtimes):
        runtime._close_store()


def _after_fork() -> None:
    for runtime in list(_runtimes):
        runtime._abandon()


process.at_fork(before=_before_fork, after_in_child=_after_fork)
