"""The runners of one supervisor: how they are born, spares and those under way."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from functools import partial
from uuid import UUID

from forktask import descriptors, forks, host, place, process, registry
from forktask.birth import Birth, run_forked
from forktask.capture import OutputReader
from forktask.channel import Channel
from forktask.channel import send as send_message
from forktask.config import Settings
from forktask.errors import StoreError
from forktask.host import descent
from forktask.progress import Page
from forktask.store import Store
from forktask.supervisor.charge import Charge, Runner
from forktask.supervisor.ends import Ends
from forktask.supervisor.nursery import Nursery
from forktask.supervisor.order import Order
from forktask.supervisor.preload import Preloaded, dispose_engines, freeze, import_module, running_threads

log = logging.getLogger("forktask.supervisor")

_kept_for_ever: list[object] = []
"""Objects of the supervisor that live on, unused, in its runners: finalising them there would close
descriptors whose numbers mean something else by then."""


class Fleet:
    """Forks runners and knows which are under way.

    Args:
        supervisor_id: What runners, and all that descends from them, show as theirs.
        watch: Called with each new runner, so that the loop hears of it.
        selector: Of the loop that hears the nursery; without it the supervisor itself forks.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        preloaded: Preloaded,
        supervisor_id: UUID,
        watch: Callable[[Runner], None],
        selector: selectors.BaseSelector | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.supervisor_id = supervisor_id
        self.preloaded = preloaded
        self.watch = watch
        self.spares: list[Runner] = []
        self.under_way: dict[UUID, Charge] = {}
        self.children: dict[int, Runner] = {}
        self.nursery: Nursery | None = None
        if selector is not None:
            self.nursery = Nursery(
                selector=selector, born=self._born, is_known=self.children.__contains__, prepare=self._before_nursery
            )
        self.hurried = 0
        """So many spares are needed at the pace at which runners end now."""
        self.most_needed: int | None = None
        """So many more will be taken at most; None: any number."""
        self.taken = 0
        """How often a runner was taken."""
        self._is_cold = True
        """Pages that this process writes are still to be copied, since it was forked from or has forked."""
        self.learnt = 0
        """How often modules were imported that runners which were forked before do not know."""
        self._modules: set[str] = set()
        _kept_for_ever.append(self)

    @property
    def running(self) -> set[int]:
        """The pids of runners that execute something; those of a batch have one."""
        return {charge.pid for charge in self.under_way.values()}

    def take_spare(self) -> Runner:
        """Return a runner that waits for an order, forked ahead or now.

        Raises:
            OSError: The kernel refuses a process.
        """
        if not self.spares and self.nursery is not None:
            self.nursery.bear()
        runner = self.spares.pop(0) if self.spares else self._fork()
        self.taken += 1
        return runner

    def foresee(self, count: int) -> None:
        """Have the nursery begin with so many runners, which `take_spare` will be asked for."""
        with contextlib.suppress(OSError):  # it comes again when one is needed
            while self.nursery is not None and count > len(self.spares) + self.nursery.expected:
                if not self.nursery.ask():
                    return

    def give_back(self, spare: Runner) -> None:
        """Keep a runner whose order came to nothing, unless it has ended meanwhile."""
        if self.children.get(spare.pid) is spare:
            self.spares.append(spare)

    @property
    def lacks_spares(self) -> bool:
        """True if runners are to be forked ahead."""
        expected = self.nursery.expected if self.nursery is not None else 0
        return self._can_fork and len(self.spares) + expected < self.most_spares

    @property
    def most_spares(self) -> int:
        """How many runners wait for orders at once."""
        most = max(self.settings.spare_runners, self.hurried)
        return most if self.most_needed is None else min(most, self.most_needed)

    def dismiss_needless(self) -> None:
        """Let spares end that are more than should wait."""
        while len(self.spares) > self.most_spares:
            self.spares.pop().channel.hang_up()

    @property
    def _can_fork(self) -> bool:
        return self.preloaded.can_fork and not self.preloaded.failure

    def prepare(self) -> None:
        """Fork what is to be forked before the first order."""
        try:
            if self.nursery is not None and self._can_fork:
                self.nursery.open()
        except OSError as error:
            log.warning("cannot fork the nursery: %s", error)
        self.refill()

    def refill(self) -> None:
        """Fork spares up to the setting; a refusal is no harm, they are only forked later."""
        try:
            while self.lacks_spares:
                if self.nursery is not None and self.nursery.ask(has_time=not self.hurried):
                    continue
                if self.nursery is not None and self.nursery.expected:
                    break  # the others when these have come
                self.spares.append(self._fork())
            if self._is_cold:
                self._is_cold = False
                self.store.warm_up()
        except OSError as error:
            log.warning("cannot fork a spare: %s", error)
        except StoreError as error:
            log.debug("not warmed up: %s", error)

    def learn(self, module: str) -> None:
        """Import a module that a web process came to have; spares that were forked before do not know it."""
        if not module or module in self._modules:
            return
        self._modules.add(module)
        if self.nursery is not None:
            self.nursery.close()
        before = descriptors.open_descriptors()
        if import_module(module, self.preloaded.patches):
            dispose_engines()
            freeze()
            opened = set(descriptors.open_descriptors()).difference(before)
            inherited = self.preloaded.inherited | opened
            self.preloaded = replace(self.preloaded, threads=running_threads(), inherited=inherited)
            self.learnt += 1
            self.dismiss_spares()

    def dismiss_spares(self) -> list[Runner]:
        """Let the spares end: they leave when we hang up. Returns them, to be reaped."""
        spares, self.spares = self.spares, []
        for spare in spares:
            spare.channel.hang_up()
        return spares

    def leave(self, others: Collection[Runner] = ()) -> None:
        """End and reap all that waits for orders; `others` are kept for more."""
        if self.nursery is not None:
            self.nursery.close()
        for runner in self.dismiss_spares():
            process.reap(runner.pid)
        for runner in others:
            process.end_child(runner.pid)

    def knows(self, pid: int) -> bool:
        """Return True if we wait for this child."""
        return pid in self.children or (self.nursery is not None and self.nursery.pid == pid)

    def forget(self, runner: Runner) -> None:
        """Note that a runner was reaped."""
        self.children.pop(runner.pid, None)
        if runner in self.spares:
            self.spares.remove(runner)

    def _born(self, pid: int, ends: Ends, is_awaited: bool) -> None:
        runner = self._runner(pid, ends, forked=True)
        if is_awaited or len(self.spares) < self.most_spares:
            self.spares.append(runner)
        else:
            runner.channel.hang_up()  # it comes late: we have forked another by then

    def _before_nursery(self) -> tuple[Birth, list[Page]]:
        self.store.close()
        self._is_cold = True
        runners, charges = self.children.values(), self.under_way.values()
        return self._birth(), [*(runner.page for runner in runners), *(charge.page for charge in charges)]

    def _fork(self) -> Runner:
        ends = Ends.make(descent.page_name(self.supervisor_id))
        self.store.close_files()
        self._is_cold = True
        try:
            pid = forks.fork(partial(run_forked, self._birth(), ends.theirs, ends.write, ends.page))
        except OSError:
            ends.close_ours()
            raise
        finally:
            ends.close_theirs()
        return self._runner(pid, ends, forked=True)

    def _birth(self) -> Birth:
        return Birth(
            parent=os.getpid(),
            supervisor_id=self.supervisor_id,
            context=self.preloaded.context,
            patches=self.preloaded.patches,
            log_level=self.settings.log_level,
            inherited=self.preloaded.inherited,
            descriptor_limit=self.preloaded.descriptor_limit,
        )

    def spawn(self, order: Order) -> Runner:
        """Start a runner in an interpreter of its own; it gets its order like any other.

        Raises:
            OSError: The kernel refuses a process or memory.
        """
        ends = Ends.make(descent.page_name(self.supervisor_id), needs_file=True)
        command = process.command("run", order.id, *order.shell)
        env = host.exec_environment(os.environ) | {descent.VARIABLE: str(self.supervisor_id)}
        try:
            pid = process.exec_child(command, stdin=ends.theirs.fileno(), output=ends.write, env=env)
            assert ends.memory is not None
            socket.send_fds(ends.ours, [b"P"], [ends.memory])
            send_message(ends.ours, self._spawn_config())
        except OSError:
            ends.close_ours()
            raise
        finally:
            ends.close_theirs()
        return self._runner(pid, ends, forked=False)

    def _spawn_config(self) -> dict[str, object]:
        return {
            "parent": os.getpid(),
            "application": self.preloaded.reference,
            "modules": sorted({definition.module for definition in registry.tasks()}),
            "version": place.version(),
            "worker_arguments": place.worker_arguments(),
            "settings": asdict(self.settings),
            **host.interpreter_state(),
        }

    def _runner(self, pid: int, ends: Ends, *, forked: bool) -> Runner:
        output = OutputReader(ends.read, self.settings.log_limit)
        try:
            runner = Runner(pid=pid, page=ends.page, channel=Channel(ends.ours), output=output, forked=forked)
        except OSError:  # no descriptor left to watch it: it leaves when we hang up
            ends.close_ours()
            process.reap(pid)
            raise
        self.children[pid] = runner
        self.watch(runner)
        return runner
