"""The verbs, once: what a task, a page, the command line and a test do with a status."""

from __future__ import annotations

import hashlib
import logging
import os
import select
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from forktask import application as applications
from forktask import clock, config, host, place, process
from forktask.config import Settings
from forktask.definition import TaskDefinition
from forktask.errors import LaunchError, StateError, StatusNotFoundError
from forktask.proof import Witness
from forktask.rows import StatusRow, new_id
from forktask.sentences import new_reference, sentence
from forktask.start import forking
from forktask.start.doorbell import Destination, Doorbell
from forktask.start.inline import Inline, OnProgress
from forktask.states import FINAL, LIVE, Cause, StartMethod, State
from forktask.store import Store
from forktask.supervisor.boot import configuration
from forktask.supervisor.charge import Order

log = logging.getLogger("forktask.runtime")

LOOK_INTERVAL = 1.0
"""Seconds between looks at the table while waiting without word from a supervisor."""
WAKE_INTERVAL = 1.0
"""A row that waited this long is rung for again by whoever looks, at most this often a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of `initiate` or `enqueue`: the task, its settings, and what varies per call."""

    definition: TaskDefinition
    settings: Any
    owner: str | None = None
    title: str | None = None
    start_method: StartMethod | None = None
    queue: str | None = None
    priority: int = 50
    run_after: datetime | None = None
    public: bool = False
    metadata: Any = None
    shell: tuple[str, ...] = ()
    private: Mapping[str, Any] = field(default_factory=dict)
    on_progress: OnProgress | None = None


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
        self._root = root
        self._factory = applications.factory_hint(application) if application is not None else None
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
        reference = self.settings.app or applications.locate(self._application, stack_hint=self._factory)
        version = self.settings.version or applications.code_stamp(self._root or applications.main_root())
        application, name = host.supervisor_key(
            application=reference,
            database_url=self.settings.database_url,
            version=version,
            settings_digest=hashlib.sha256(repr(self.settings).encode()).hexdigest(),
        )
        try:
            directory = host.private_directory(self.settings.runtime_dir)
        except LaunchError as error:
            log.warning("%s; this process gets a supervisor of its own", error)
            directory = None
        return Destination(
            name=name,
            directory=directory,
            configuration=lambda: configuration(self.settings, application, version, reference),
        )

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
            self._refuse_threads()
        bound = method in (StartMethod.FORK, StartMethod.INLINE) or bool(call.shell or call.private)
        row = self._row(call, method if bound else None)
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
        row = self._row(replace(call, queue=call.queue or "default"), None)
        self.store.insert(row)
        try:
            if row.run_after is None:
                self.doorbell.ring(["start", str(row.id), row.task])
            else:
                self.doorbell.ring(["hello"])
        except LaunchError as error:
            log.warning("id=%s waits for a worker: %s", row.id, error)
        return row

    def _method(self, call: Call) -> StartMethod:
        if call.shell:
            return StartMethod.SPAWN
        return call.start_method or call.definition.start_method or self.settings.start_method

    def _refuse_threads(self) -> None:
        if (threads := process.thread_count()) > 1:
            raise LaunchError(
                f"start method fork needs a process with one thread; this one has {threads}: use forkserver"
            )

    def _start(self, row: StatusRow, call: Call, method: StartMethod, bound: bool) -> None:
        if method is StartMethod.FORK:
            if self.store.count_running(host.boot_id()) >= self.settings.max_running:
                raise LaunchError(f"FORKTASK_MAX_RUNNING={self.settings.max_running} tasks run on this host")
            order = Order(id=str(row.id), task=row.task, private=dict(call.private), bound=True)
            forking.start(self.settings, order, self._context)
            return
        arguments: dict[str, Any] = {"start_method": method.value}
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

    def _row(self, call: Call, bound_to: StartMethod | None) -> StatusRow:
        now = clock.now()
        empty: dict[str, Any] = dict.fromkeys(StatusRow._fields)
        return StatusRow(
            **{
                **empty,
                "id": new_id(),
                "task": call.definition.name,
                "title": (call.title or call.definition.title)[:255],
                "state": State.QUEUED,
                "settings": call.settings,
                "metadata": call.metadata,
                "owner": call.owner,
                "public": int(call.public),
                "start_method": bound_to,
                "queue": call.queue,
                "priority": call.priority,
                "run_after": call.run_after,
                "attempt": 1,
                "max_attempts": call.definition.retry.attempts,
                "engine": "local",
                "created_at": now,
                "updated_at": now,
            }
        )

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
            try:
                self.doorbell.ring(["start", str(row.id), row.task])
            except LaunchError as error:
                log.warning("id=%s waits: %s", row.id, error)
        return False

    def wake(self) -> None:
        """Start the supervisor if rows wait; for the first request of a web process."""
        if self.settings.start_method is not StartMethod.INLINE and self.store.has_waiting():
            self.doorbell.ring(["hello"])

    def wait(self, status_id: UUID, timeout: float | None) -> StatusRow:
        """Return the row when it is final, or after `timeout` seconds as it is then."""
        until = None if timeout is None else clock.monotonic() + timeout
        word = self.doorbell.watch(str(status_id)) if self.settings.start_method is not StartMethod.INLINE else None
        try:
            while True:
                row = self.get(status_id)
                rest = LOOK_INTERVAL if until is None else min(LOOK_INTERVAL, until - clock.monotonic())
                if row.state in FINAL or rest <= 0:
                    return row
                if word is None:
                    clock.sleep(min(rest, 0.05))
                    word = self.doorbell.watch(str(status_id))
                elif select.select((word,), (), (), rest)[0] and not _still_there(word):
                    word.close()
                    word = None
        finally:
            if word is not None:
                word.close()

    def cancel(self, status_id: UUID) -> StatusRow:
        """Ask for the end of a status; one that waits is cancelled at once."""
        if not self.store.cancel_waiting(status_id) and self.store.request_cancel(status_id):
            self._look(status_id)
        return self._expect("cancel", status_id, LIVE | {State.CANCELLED})

    def pause(self, status_id: UUID) -> StatusRow:
        """Ask to stop a running task where it is; one that waits is paused at once."""
        if not self.store.pause_waiting(status_id) and self.store.request_pause(status_id, True):
            self._look(status_id)
        return self._expect("pause", status_id, LIVE)

    def resume(self, status_id: UUID) -> StatusRow:
        """Let a paused status go on."""
        if self.store.resume_waiting(status_id):
            self._look(status_id, "start")
        elif self.store.request_pause(status_id, False):
            self._look(status_id)
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
        self._look(status_id, "start")
        return self.get(status_id)

    def _expect(self, verb: str, status_id: UUID, allowed: Collection[State]) -> StatusRow:
        row = self.get(status_id)
        if row.state not in allowed:
            raise StateError(verb, row.state, [state for state in State if state in allowed])
        return row

    def _look(self, status_id: UUID, verb: str = "look") -> None:
        """Save the supervisor the second until it would see for itself."""
        if self.settings.start_method is StartMethod.INLINE:
            return
        message: Sequence[str] = [verb, str(status_id)] if verb == "look" else [verb, str(status_id), ""]
        try:
            self.doorbell.ring(message)
        except LaunchError as error:
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


def _still_there(connection: Any) -> bool:
    try:
        return bool(connection.recv(65536))
    except OSError:
        return False


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
