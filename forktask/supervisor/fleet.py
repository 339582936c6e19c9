"""The runners of one supervisor: how they are born, spares and those under way."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from uuid import UUID

from forktask import host, place, process, registry, runner
from forktask.capture import OutputReader
from forktask.channel import Channel
from forktask.channel import send as send_message
from forktask.config import Settings
from forktask.progress import PAGE_SIZE, Page
from forktask.supervisor.charge import Charge, Order
from forktask.supervisor.preload import Preloaded, dispose_engines, freeze, import_module, running_threads

log = logging.getLogger("forktask.supervisor")

_kept_for_ever: list[object] = []
"""Objects of the supervisor that live on, unused, in its runners: finalising them there would close
descriptors whose numbers mean something else by then."""


class Fleet:
    """Forks runners and knows which are under way.

    Args:
        watch: Called with each new charge, so that the loop hears of it.
    """

    def __init__(self, settings: Settings, preloaded: Preloaded, watch: Callable[[Charge], None]) -> None:
        self.settings = settings
        self.preloaded = preloaded
        self.watch = watch
        self.spares: list[Charge] = []
        self.under_way: dict[UUID, Charge] = {}
        self._learnt: set[str] = set()
        _kept_for_ever.append(self)

    def take_spare(self) -> Charge:
        """Return a runner that waits for an order, forked ahead or now.

        Raises:
            OSError: The kernel refuses a process.
        """
        return self.spares.pop(0) if self.spares else self._fork()

    def give_back(self, spare: Charge) -> None:
        """Keep a runner whose order came to nothing."""
        self.spares.append(spare)

    def refill(self) -> None:
        """Fork spares up to the setting; a refusal is no harm, the next start tries again."""
        if not self.preloaded.can_fork or self.preloaded.failure:
            return
        try:
            while len(self.spares) < self.settings.spare_runners:
                self.spares.append(self._fork())
        except OSError as error:
            log.warning("cannot fork a spare: %s", error)

    def learn(self, module: str) -> None:
        """Import a module that a web process came to have; spares that were forked before do not know it."""
        if module in self._learnt:
            return
        self._learnt.add(module)
        if import_module(module):
            dispose_engines()
            freeze()
            self.preloaded = replace(self.preloaded, threads=running_threads())
            self.dismiss_spares()

    def dismiss_spares(self) -> list[Charge]:
        """Let the spares end: they leave when we hang up. Returns them, to be reaped."""
        spares, self.spares = self.spares, []
        for spare in spares:
            spare.channel.hang_up()
        return spares

    def _fork(self) -> Charge:
        page = Page.anonymous()
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        birth = runner.Birth(
            parent=os.getpid(),
            sock=theirs,
            page=page,
            output=write,
            context=self.preloaded.context,
            log_level=self.settings.log_level,
            inherited=self.preloaded.inherited,
            descriptor_limit=self.preloaded.descriptor_limit,
        )
        try:
            pid = process.fork(partial(runner.run_forked, birth))
        except OSError:
            page.close()
            ours.close()
            os.close(read)
            raise
        finally:
            theirs.close()
            os.close(write)
        return self._charge(pid, page, ours, read, forked=True)

    def spawn(self, order: Order) -> Charge:
        """Start a runner in an interpreter of its own; it gets its order like any other.

        Raises:
            OSError: The kernel refuses a process or memory.
        """
        descriptor = os.memfd_create("forktask-page")
        os.ftruncate(descriptor, PAGE_SIZE)
        page = Page.from_descriptor(descriptor)
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        command = process.command("run", order.id, *order.shell)
        try:
            pid = process.exec_child(
                command, stdin=theirs.fileno(), output=write, env=host.exec_environment(os.environ)
            )
            socket.send_fds(ours, [b"P"], [descriptor])
            send_message(ours, self._spawn_config())
        except OSError:
            page.close()
            ours.close()
            os.close(read)
            raise
        finally:
            os.close(descriptor)
            theirs.close()
            os.close(write)
        return self._charge(pid, page, ours, read, forked=False)

    def _spawn_config(self) -> dict[str, object]:
        return {
            "parent": os.getpid(),
            "application": self.preloaded.reference,
            "modules": sorted({definition.module for definition in registry.tasks()}),
            "version": place.version(),
            "settings": asdict(self.settings),
            **host.interpreter_state(),
        }

    def _charge(self, pid: int, page: Page, ours: socket.socket, read: int, *, forked: bool) -> Charge:
        output = OutputReader(read, self.settings.log_limit)
        charge = Charge(pid=pid, page=page, channel=Channel(ours), output=output, forked=forked)
        self.watch(charge)
        return charge
